// Cells without products with their state. A unit sees only itself, so a tile goes through many steps alone.
//
// Where nothing but the elementwise part is left (a scan: its pre-activations are given), the run takes as long
// as its memory does. It then works in place: a tile is one row, whose steps lie side by side in the caller's
// memory; they are read there, the next step on its way while this one computes. What a step writes lies in
// first-level cache, and is passed on past the caches, which need not read what is overwritten.

#include <algorithm>
#include <atomic>
#include <cstring>

#include "run.h"

namespace rondo {
namespace {

constexpr std::ptrdiff_t PAST_CACHES_FROM = std::ptrdiff_t{8} << 20;  // bytes that a run writes

}  // namespace

// Where a row buffer lies in a run in place; false where it is gathered and scattered as in other runs.
template <class T>
bool Engine<T>::Run::lies_outside(const RowBuffer& buffer, Rows& place, Residuals<T>* own) {
    const std::ptrdiff_t N = engine.padded(buffer.width);
    const auto read = [&](const Given<const T>& from) {
        if (engine.units(buffer.width) != N) return false;  // lanes behind the last unit would be another's
        place.base = const_cast<T*>(from.data) + (call.reverse ? (steps - 1) * from.time : 0);
        place.time = call.reverse ? -from.time : from.time;
        place.row = from.batch;
        return place.in_place = true;
    };
    if (buffer.role == Role::x) return read(call.x[buffer.part]);
    if (buffer.role == Role::mask) return read(call.masks[buffer.part]);
    if (buffer.role == Role::dy) return read(asked->dy);
    if (buffer.role == Role::dx) {
        const Given<T>& to = asked->dx[buffer.part];
        place.out = to.data + (call.reverse ? (steps - 1) * to.time : 0);
        place.out_time = call.reverse ? -to.time : to.time;
        place.out_row = to.batch;
    } else if (buffer.role == Role::state && own && own->states[buffer.part].entries > 2) {
        const States<T>& states = own->states[buffer.part];
        place.out = states.first + states.step;
        place.out_time = states.step;
        place.out_row = states.row;
        place.ring = true;
        place.time = N * R;
    } else {
        return false;
    }
    place.in_place = true;
    place.row = N;
    place.memory = Memory(checked_bytes(sizeof(T), {place.ring ? 2 : 1, N, R}));
    place.base = place.memory.template as<T>();
    const int n = engine.units(buffer.width);
    if (place.ring) copy_rows(place.base, N, call.given[buffer.part], n, R, n);
    past_caches = past_caches || static_cast<std::ptrdiff_t>(sizeof(T)) * N * R * steps >= PAST_CACHES_FROM;
    return true;
}

// What a step reads from memory: nothing before it has read or written it, not for long at least.
template <class T>
auto Engine<T>::Run::Member::streams() const -> std::vector<Stream> {
    std::vector<Stream> found;
    for (const Moving& one : moving) {
        const Operand& operand = run.plan.operands[one.operand];
        bool streamed = run.engine.operand_read_[one.operand];
        if (operand.place == Place::row) {
            const Rows& place = run.rows[operand.index];
            // Of the states, the new one was read as the former one in the step that came before.
            const bool saved = run.backward && run.plan.rows[operand.index].role == Role::state && operand.ahead == 0;
            streamed = streamed && (saved || (place.in_place && !place.out));
        } else {
            streamed = streamed && operand.place == Place::kept && run.backward;
        }
        if (streamed) found.push_back({one.operand, run.backward ? -one.time : one.time});
    }
    return found;
}

// Computes a tile, and between its instructions asks for what the next step reads: all at once would be more than can
// be under way. It goes into the second level, as the first one is full of this step.
template <class T>
void Engine<T>::Run::Member::run_fetching(const std::vector<Stream>& streams, int step, bool last, int row, int rows,
                                          int panel, int panels) {
    constexpr int LINE = 64 / sizeof(T), LINES = PANEL / LINE;
    const Stage& stage = run.plan.stages[0];
    Tile<T> tile = tile_of(stage.code, at(step), stage.width, row, rows, panel, panels);
    const int vectors = rows * panels, instructions = tile.instructions;
    const int all = last ? 0 : vectors * static_cast<int>(streams.size());
    tile.instructions = 1;
    const T *next_row = nullptr, *next = nullptr;
    const Bound<T>* bound = nullptr;
    std::size_t stream = 0;
    int r = rows, p = panels;  // of this stream
    for (int k = 0, done = 0; k < instructions; ++k, ++tile.code) {
        for (const int until = all / instructions * (k + 1) + all % instructions; done < until; ++done) {
            if (p == panels) {
                if (r == rows) {
                    bound = &at(step)[streams[stream].operand];
                    next_row = bound->base + streams[stream].time + row * bound->tile_row + panel * bound->tile_panel;
                    ++stream;
                    r = 0;
                } else {
                    next_row += bound->row;
                }
                ++r;
                next = next_row;
                p = 0;
            }
            for (int line = 0; line < LINES; ++line) __builtin_prefetch(next + line * LINE, 0, 2);
            next += bound->panel;
            ++p;
        }
        run.engine.kernels_.tile(tile);
    }
}

template <class T>
void Engine<T>::Run::Member::pass_on(int t, int row, int panel, int panels) const {
    for (std::size_t i = 0; i < run.plan.rows.size(); ++i) {
        const Rows& place = run.rows[i];
        if (!place.out) continue;
        const int width = run.plan.rows[i].width, first = panel * PANEL;
        const int n = std::min(panels * PANEL, run.engine.units(width) - first);
        const T* const from = place.base + (place.ring ? (t + 1) % 2 * place.time : 0) + row * place.row + first;
        T* const to = place.out + t * place.out_time + row * place.out_row + first;
        if (run.past_caches) run.engine.kernels_.put(from, to, n);
        else std::memcpy(to, from, sizeof(T) * n);
    }
}

template <class T>
void Engine<T>::Run::Member::scan(int begin, int end) {
    const Stage& stage = run.plan.stages[0];
    const Share mine = panels_of(stage.width);
    const std::vector<Stream> read = streams();
    for (int panel = mine.first; panel < mine.last; panel += run.tile_panels) {
        const int panels = std::min(run.tile_panels, mine.last - panel);
        for (int row = first_row; row < last_row; row += run.tile_rows) {
            const int rows = std::min(run.tile_rows, last_row - row);
            for (int i = 0; i < end - begin; ++i) {
                const int step = run.backward ? end - begin - 1 - i : i, t = begin + step;
                const bool last = run.in_place ? t == (run.backward ? 0 : run.steps - 1) : i + 1 == end - begin;
                run_fetching(read, step, last, row, rows, panel, panels);
                if (run.in_place) pass_on(t, row, panel, panels);
            }
        }
    }
    // What was stored past the caches is seen by others only after this.
    if (run.past_caches) std::atomic_thread_fence(std::memory_order_seq_cst);
}

template class Engine<float>;
template class Engine<double>;

}  // namespace rondo
