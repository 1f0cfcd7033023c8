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

// Operands that are read in main memory.
template <class T>
std::vector<int> Engine<T>::Run::read_in_place() const {
    std::vector<int> found;
    for (std::size_t i = 0; i < plan.operands.size(); ++i) {
        const Operand& operand = plan.operands[i];
        if (operand.place != Place::row) continue;
        const Rows& place = rows[operand.index];
        // Of the states, the new one was read as the former one in the step that came before.
        const bool saved = backward && plan.rows[operand.index].role == Role::state && operand.ahead == 0;
        if (saved || (place.in_place && !place.out)) found.push_back(static_cast<int>(i));
    }
    return found;
}

// Computes a tile of one row, and between its instructions asks for what the next step reads: all at once would
// be more than can be under way. It goes into the second level, as the first one is full of this step.
template <class T>
void Engine<T>::Run::Member::run_fetching(const std::vector<int>& read, int step, bool last, int row, int panel,
                                          int panels) {
    constexpr int LINE = 64 / sizeof(T);
    const Stage& stage = run.plan.stages[0];
    Tile<T> tile = tile_of(stage.code, at(step), stage.width, row, 1, panel, panels);
    const int lines = panels * (PANEL / LINE), instructions = tile.instructions;
    const int all = last ? 0 : lines * static_cast<int>(read.size());
    tile.instructions = 1;
    const T* next = nullptr;
    std::size_t stream = 0;
    int line = lines;  // of this stream
    for (int k = 0, done = 0; k < instructions; ++k, ++tile.code) {
        for (const int until = all / instructions * (k + 1) + all % instructions; done < until; ++done, ++line) {
            if (line == lines) {
                const int number = read[stream++];
                const Rows& place = run.rows[run.plan.operands[number].index];
                next = at(step)[number].base + (run.backward ? -place.time : place.time) + row * place.row + panel * PANEL;
                line = 0;
            }
            __builtin_prefetch(next + line * LINE, 0, 2);
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
    const std::vector<int> read = run.in_place ? run.read_in_place() : std::vector<int>();
    for (int panel = mine.first; panel < mine.last; panel += run.tile_panels) {
        const int panels = std::min(run.tile_panels, mine.last - panel);
        for (int row = first_row; row < last_row; row += run.tile_rows) {
            const int rows = std::min(run.tile_rows, last_row - row);
            for (int i = 0; i < end - begin; ++i) {
                const int step = run.backward ? end - begin - 1 - i : i;
                if (run.in_place) {
                    const int t = begin + step;
                    run_fetching(read, step, t == (run.backward ? 0 : run.steps - 1), row, panel, panels);
                    pass_on(t, row, panel, panels);
                } else {
                    run_tile(stage.code, at(step), stage.width, row, rows, panel, panels);
                }
            }
        }
    }
    // What was stored past the caches is seen by others only after this.
    if (run.past_caches) std::atomic_thread_fence(std::memory_order_seq_cst);
}

template class Engine<float>;
template class Engine<double>;

}  // namespace rondo
