#include "run.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace rondo {
namespace {

constexpr int FORWARD_ROWS = 192, BACKWARD_ROWS = 384;  // of a chunk, over steps and batch
constexpr double ALONE_BELOW = 4e5;                     // multiply-adds of a run
constexpr double STEP_ALONE_BELOW = 6e4;                // of a step, where its panels would be divided
constexpr int HALF_GAP = 32;                            // between rounded rows, against rows that share cache sets
constexpr int ROWS_EACH = 8;                            // rows for each member, where rows are divided

template <class T>
void copy_rows(T* to, std::ptrdiff_t to_row, const T* from, std::ptrdiff_t from_row, int rows, int n) {
    for (int r = 0; r < rows; ++r) {
        if (from) std::memcpy(to + r * to_row, from + r * from_row, sizeof(T) * n);
        else std::memset(to + r * to_row, 0, sizeof(T) * n);
    }
}

}  // namespace

template <class T>
Engine<T>::Run::Run(const Engine& engine_, const Call<T>& call_, const Packed& packed_, bool backward_)
    : engine(engine_), plan(engine_.plan_), call(call_), packed(packed_), R(call_.rows()), steps(call_.steps()),
      backward(backward_), rows(engine_.plan_.rows.size()) {
    chunk = std::clamp((backward ? BACKWARD_ROWS : FORWARD_ROWS) / std::max(R, 1), 1, std::max(steps, 1));
    tile_rows = std::clamp(R, 1, TILE_ROWS);
    // Even, because products with one destination take panels in pairs.
    tile_panels = std::max(2, (backward ? 64 : 32) / tile_rows / 2 * 2);
    for (const Stage& stage : plan.stages) {
        max_reductions = std::max(max_reductions, static_cast<int>(stage.reductions.size()));
    }
    divide();
}

template <class T>
void Engine<T>::Run::divide() {
    double of_a_step = 0, widest = 0;
    for (const auto& products : engine.stage_products_) {
        for (const Product_& product : products) of_a_step += static_cast<double>(product.group_size) * product.groups;
    }
    double all = of_a_step;
    for (const auto* list : {&engine.hoisted_, &engine.after_}) {
        for (const Product_& product : *list) all += static_cast<double>(product.group_size) * product.groups;
    }
    for (const Stage& stage : plan.stages) {
        widest = std::max<double>(widest, engine.panels(stage.width));
        of_a_step += 16.0 * stage.code.size() * engine.panels(stage.width);
        all += 16.0 * stage.code.size() * engine.panels(stage.width);
    }
    members = engine.threads_;
    by_rows = R >= ROWS_EACH * members;
    const bool tiny = all * R * steps < ALONE_BELOW;
    const bool tiny_steps = !by_rows && !engine.is_scan_ && (of_a_step * R < STEP_ALONE_BELOW || widest < 2 * members);
    if (tiny || tiny_steps) {
        members = 1;
        by_rows = true;
    }
}

template <class T>
void Engine<T>::Run::allocate_work() {
    const auto one = static_cast<std::ptrdiff_t>(R);
    for (int width = 0; width < WIDTHS; ++width) {
        if (!plan.work[width]) continue;
        work_memory[width] = Memory(
            checked_bytes(sizeof(T), {chunk, one, slots_size(engine, width, plan.work[width])}));
        work[width] = work_memory[width].template as<T>();
    }
    temporaries = Memory(checked_bytes(sizeof(T), {members, plan.temporaries + 1, TILE_VECTORS * PANEL}));
    if (engine.halves_) {
        int widest = 0;
        for (int units : engine.sizes_) widest = std::max(widest, units);
        half_rows_size = static_cast<std::ptrdiff_t>(chunk) * one * (widest + HALF_GAP);
        half_rows = Memory(checked_bytes(sizeof(Bfloat16), {members, half_rows_size + PANEL}));
    }
    if (max_reductions) partial_sums = Memory(checked_bytes(sizeof(T), {members, max_reductions, one, PANEL}));
}

template <class T>
void Engine<T>::Run::allocate_rows(Residuals<T>* own, const Residuals<T>* saved) {
    for (std::size_t i = 0; i < plan.rows.size(); ++i) {
        const RowBuffer& buffer = plan.rows[i];
        Rows& place = rows[i];
        place.row = engine.padded(buffer.width);
        const std::ptrdiff_t entry = place.row * R;
        if (buffer.role == Role::state && own) {
            // Backwards in time the entries lie backwards, so that outputs stand in the order of time.
            States<T>& states = own->states[buffer.part];
            if (!states.first) {
                own->own.emplace_back(checked_bytes(sizeof(T), {states.entries, entry}));
                states.first = own->own.back().template as<T>() + (states.step < 0 ? entry * steps : 0);
            }
            place.base = states.first;
            place.time = states.step;
            place.ring = states.entries == 2 && steps != 1;
        } else if (buffer.role == Role::state) {
            place.base = saved->states[buffer.part].first;
            place.time = saved->states[buffer.part].step;
        } else {
            place.chunked = buffer.timed || buffer.role == Role::mask || buffer.role == Role::dy ||
                            buffer.role == Role::x || buffer.role == Role::dx;
            place.time = place.chunked ? entry : 0;
            place.memory = Memory(checked_bytes(sizeof(T), {place.chunked ? chunk : 1, entry}));
            place.base = place.memory.template as<T>();
        }
    }
}

template <class T>
Engine<T>::Run::Member::Member(Run& run_, int id_, int count_, Barrier& barrier_)
    : run(run_), id(id_), count(count_), barrier(barrier_), by_rows(run_.by_rows || count_ == 1),
      bounds(static_cast<std::size_t>(run_.chunk) * run_.plan.operands.size()) {
    const Share share(run.R, id, count);
    first_row = by_rows ? share.first : 0;
    last_row = by_rows ? share.last : run.R;
    std::ptrdiff_t at = 0, all = 0;
    for (const auto& references : run.plan.gradients) {
        all += run.engine.padded(run.plan.parameters[references[0].parameter].rows);
    }
    for (const auto& references : run.plan.gradients) {
        T* const base = run.gradients.template as<T>() + all * id + at;
        gradients.push_back({base, 0, PANEL, 0, PANEL});
        at += run.engine.padded(run.plan.parameters[references[0].parameter].rows);
    }
    if (all) std::fill_n(run.gradients.template as<T>() + all * id, all, T(0));
}

// Panels come in pairs, because a product with one destination takes two at a time.
template <class T>
Share Engine<T>::Run::Member::panels_of(int width) const {
    const int panels = run.engine.panels(width);
    Share share(by_rows ? 1 : ceil_div(panels, 2), by_rows ? 0 : id, by_rows ? 1 : count);
    if (by_rows) {
        share.last = panels;
    } else {
        share.first *= 2;
        share.last = std::min(share.last * 2, panels);
    }
    return share;
}

template <class T>
int Engine<T>::Run::Member::running(int t) const {
    return run.call.lanes ? std::min(last_row, run.call.lanes->running[t]) : last_row;
}

template <class T>
void Engine<T>::Run::Member::bind(int begin, int end) {
    const Plan& plan = run.plan;
    const std::ptrdiff_t R = run.R;
    T* const scratch = run.temporaries.template as<T>() +
                       static_cast<std::ptrdiff_t>(id) * (plan.temporaries + 1) * TILE_VECTORS * PANEL;
    for (std::size_t i = 0; i < plan.operands.size(); ++i) {
        const Operand& operand = plan.operands[i];
        const bool one = operand.width == 0;
        Bound<T> bound{};
        std::ptrdiff_t time = 0;
        int first = 0;
        bool ring = false;
        if (operand.place == Place::kept || operand.place == Place::work) {
            const bool is_kept = operand.place == Place::kept;
            const int slots = (is_kept ? plan.kept : plan.work)[operand.width];
            const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(slots) * PANEL;
            const std::ptrdiff_t panel = one ? 0 : (is_kept ? run.steps : run.chunk) * R * row;
            time = R * row;
            first = is_kept ? begin : 0;
            bound = {(is_kept ? run.kept : run.work)[operand.width] + operand.index * PANEL, row, panel, row, panel};
        } else if (operand.place == Place::temp) {
            bound = {scratch + static_cast<std::ptrdiff_t>(operand.index) * TILE_VECTORS * PANEL, PANEL,
                     one ? 0 : run.tile_rows * PANEL, 0, 0};
        } else if (operand.place == Place::row) {
            const Rows& place = run.rows[operand.index];
            time = place.time;
            first = (place.chunked ? 0 : plan.rows[operand.index].timed ? begin : 0) + operand.ahead;
            ring = place.ring;
            if (!plan.rows[operand.index].timed && !place.chunked) time = 0;
            bound = {place.base, place.row, one ? 0 : PANEL, place.row, one ? 0 : PANEL};
        } else if (operand.place == Place::vector) {
            bound = {run.packed.vectors.template as<T>() + run.engine.vector_offsets_[operand.index], 0, PANEL, 0, PANEL};
        } else {
            bound = {run.engine.constants_.template as<T>() + operand.index * PANEL, 0, 0, 0, 0};
        }
        T* const base = bound.base;
        for (int step = 0; step < end - begin; ++step) {
            const int entry = first + step;
            bound.base = base + time * (ring ? entry % 2 : entry);
            at(step)[i] = bound;
        }
    }
}

template <class T>
void Engine<T>::Run::Member::prepare(const Product_& product, const Bound<T>* operands, int group,
                                     Ready& ready) const {
    const int G = static_cast<int>(product.destinations.size());
    const Bound<T>& source = operands[product.sources[0]];
    const Bound<T>& destination = operands[product.destinations[0]];
    const int panel = group * product.per_call;
    rondo::Product<T>& call = ready.call;
    ready.outputs = std::min(product.per_call, run.engine.panels(product.width) - panel) * G;
    for (std::size_t s = 0; s < product.sources.size(); ++s) {
        ready.a_source[s] = operands[product.sources[s]].base - source.base;
    }
    for (int i = 0; i < ready.outputs; ++i) {
        const int g = i % G, p = i / G;
        ready.b_output[i] = static_cast<std::ptrdiff_t>(i) * PANEL;
        ready.c_output[i] = operands[product.destinations[g]].base - destination.base + p * destination.panel;
        const int start = product.starts[g];
        call.start[i] = start == ZERO ? Start::zero : start == ACCUMULATE ? Start::accumulate : Start::vector;
        call.start_vector[i] = start >= 0 ? operands[start].base + static_cast<std::ptrdiff_t>(panel + p) * PANEL : nullptr;
    }
    call.a = source.base;
    call.a_row = source.row;
    call.a_run = product.from_rows ? 0 : source.panel;
    call.a_step = 1;
    call.a_source = ready.a_source;
    call.runs = product.runs;
    call.sources = static_cast<int>(product.sources.size());
    call.length = product.length;
    call.last_length = product.last_length;
    call.b = run.packed.matrices.template as<T>() + product.offset + product.group_size * group;
    call.b_step = product.step_size();
    call.b_output = ready.b_output;
    call.c = destination.base + panel * destination.panel;
    call.c_row = destination.row;
    call.c_output = ready.c_output;
}

template <class T>
void Engine<T>::Run::Member::multiply(const Product_& product, const Bound<T>* operands, int row, int rows,
                                      int group) const {
    const Kernels<T>& kernels = run.engine.kernels_;
    Ready ready;
    prepare(product, operands, group, ready);
    rondo::Product<T> call = ready.call;
    const int parts = ceil_div(rows, kernels.best_rows[ready.outputs]);
    for (int part = 0; part < parts; ++part) {
        const Share share(rows, part, parts);
        call.a = ready.call.a + (row + share.first) * call.a_row;
        call.c = ready.call.c + (row + share.first) * call.c_row;
        kernels.product[share.last - share.first][ready.outputs](call);
    }
}

template <class T>
void Engine<T>::Run::Member::round_source(const Product_& product, const Bound<T>* operands, int row, int rows) {
    if constexpr (std::is_same_v<T, float>) {
        if (rounded == product.sources[0]) return;
        rounded = product.sources[0];
        rounded_from = row;
        const Bound<T>& source = operands[rounded];
        Bfloat16* const to = run.half_rows.template as<Bfloat16>() + run.half_rows_size * id;
        for (int r = 0; r < rows; ++r) {
            run.engine.halves_->round(source.base + (row + r) * source.row, to + r * (product.length + HALF_GAP),
                                      product.length);
        }
    }
}

template <class T>
void Engine<T>::Run::Member::multiply_half(const Product_& product, const Bound<T>* operands, int row, int rows,
                                           int group) const {
    if constexpr (std::is_same_v<T, float>) {
        const Bfloat16Kernels& kernels = *run.engine.halves_;
        const int G = static_cast<int>(product.destinations.size());
        const Bound<T>& destination = operands[product.destinations[0]];
        const int panel = group * product.per_call;
        const int outputs = std::min(product.per_call, run.engine.panels(product.width) - panel) * G;
        std::ptrdiff_t c_output[MAX_OUTPUTS];
        Bfloat16Product call;
        for (int i = 0; i < outputs; ++i) {
            const int g = i % G, p = i / G;
            c_output[i] = operands[product.destinations[g]].base - destination.base + p * destination.panel;
            const int start = product.starts[g];
            call.start[i] = start == ZERO ? Start::zero : start == ACCUMULATE ? Start::accumulate : Start::vector;
            call.start_vector[i] =
                start >= 0 ? operands[start].base + static_cast<std::ptrdiff_t>(panel + p) * PANEL : nullptr;
        }
        call.a_row = product.length + HALF_GAP;
        call.pairs = ceil_div(product.steps, 2);
        call.b = run.packed.halves.template as<Bfloat16>() + product.half_offset + product.half_group_size * group;
        call.b_step = 2 * product.step_size();
        call.c_row = destination.row;
        call.c_output = c_output;
        const Bfloat16* const rows_from = run.half_rows.template as<Bfloat16>() + run.half_rows_size * id;
        const int parts = ceil_div(rows, kernels.best_rows[outputs]);
        for (int part = 0; part < parts; ++part) {
            const Share share(rows, part, parts);
            call.a = rows_from + (row + share.first - rounded_from) * call.a_row;
            call.c = destination.base + (row + share.first) * destination.row + panel * destination.panel;
            kernels.product[share.last - share.first][outputs](call);
        }
    }
}

// Products over all steps of a chunk: steps and rows are one dimension, as both lie at one distance.
template <class T>
void Engine<T>::Run::Member::multiply_chunk(const std::vector<Product_>& products, int begin, int end) {
    const int n = end - begin;
    for (const Product_& product : products) {
        const bool whole = last_row - first_row == run.R;
        Share groups(product.groups, by_rows ? 0 : id, by_rows ? 1 : count);
        if (product.half) {
            // Step by step, so that rounded rows are those of one step; all of them where they are one block.
            for (int step = 0; step < (whole ? 1 : n); ++step) {
                rounded = -1;
                const int rows = whole ? n * run.R : last_row - first_row;
                round_source(product, at(step), first_row, rows);
                for (int group = groups.first; group < groups.last; ++group) {
                    multiply_half(product, at(step), first_row, rows, group);
                }
            }
            continue;
        }
        for (int group = groups.first; group < groups.last; ++group) {
            if (whole) {
                multiply(product, at(0), 0, n * run.R, group);
            } else {
                for (int step = 0; step < n; ++step) {
                    multiply(product, at(step), first_row, last_row - first_row, group);
                }
            }
        }
    }
}

template <class T>
Tile<T> Engine<T>::Run::Member::tile_of(const std::vector<Instruction>& code, const Bound<T>* operands, int width,
                                        int row, int rows, int panel, int panels) {
    const int last = run.engine.panels(width) - 1;
    return {code.data(), static_cast<int>(code.size()), operands, gradients.data(), row, rows,
            panel, panels, last, run.engine.units(width) - last * PANEL};
}

template <class T>
void Engine<T>::Run::Member::run_tile(const std::vector<Instruction>& code, const Bound<T>* operands, int width,
                                      int row, int rows, int panel, int panels) {
    run.engine.kernels_.tile(tile_of(code, operands, width, row, rows, panel, panels));
}

template <class T>
void Engine<T>::Run::Member::stage(int index, int step, int rows_end) {
    const Stage& stage = run.plan.stages[index];
    const auto& products = run.engine.stage_products_[index];
    Bound<T>* operands = at(step);

    std::vector<T*> places;  // where finished reductions go, while partial sums lie elsewhere
    for (std::size_t i = 0; i < stage.reductions.size(); ++i) {
        Bound<T>& sum = operands[stage.reductions[i].first];
        places.push_back(sum.base);
        if (!by_rows) {
            T* const part = run.partial_sums.template as<T>() +
                            (static_cast<std::ptrdiff_t>(id) * run.max_reductions + i) * run.R * PANEL;
            std::fill_n(part, static_cast<std::ptrdiff_t>(run.R) * PANEL, T(0));
            sum = {part, PANEL, 0, PANEL, 0};
        } else {
            for (int r = first_row; r < rows_end; ++r) std::fill_n(sum.base + r * sum.row, PANEL, T(0));
        }
    }

    rounded = -1;
    const Share mine = panels_of(stage.width);
    for (int panel = mine.first; panel < mine.last; panel += run.tile_panels) {
        const int panels = std::min(run.tile_panels, mine.last - panel);
        for (int row = first_row; row < rows_end; row += run.tile_rows) {
            const int rows = std::min(run.tile_rows, rows_end - row);
            for (const Product_& product : products) {
                if (product.half) round_source(product, operands, first_row, rows_end - first_row);
                for (int group = panel / product.per_call; group * product.per_call < panel + panels; ++group) {
                    if (product.half) multiply_half(product, operands, row, rows, group);
                    else multiply(product, operands, row, rows, group);
                }
            }
            if (!stage.code.empty()) run_tile(stage.code, operands, stage.width, row, rows, panel, panels);
        }
    }
    meet();
    if (stage.reductions.empty() && stage.row_code.empty()) return;
    finish_reductions(stage, operands, places, rows_end);
}

template <class T>
void Engine<T>::Run::Member::finish_reductions(const Stage& stage, Bound<T>* operands, const std::vector<T*>& places,
                                               int rows_end) {
    // By panels, each member finishes some rows for all.
    const Share share(rows_end, by_rows ? 0 : id, by_rows ? 1 : count);
    const int begin = by_rows ? first_row : share.first, end = by_rows ? rows_end : share.last;
    for (std::size_t i = 0; i < stage.reductions.size(); ++i) {
        const auto [number, mean] = stage.reductions[i];
        const std::ptrdiff_t slots =
            (run.plan.operands[number].place == Place::kept ? run.plan.kept : run.plan.work)[0];
        const std::ptrdiff_t row = slots * PANEL;
        Bound<T>& bound = operands[number];
        if (!by_rows) bound = {places[i], row, 0, row, 0};
        const T scale = mean ? T(1) / static_cast<T>(run.engine.units(stage.width)) : T(1);
        for (int r = begin; r < end; ++r) {
            T sum = 0;
            for (int m = 0; m < (by_rows ? 1 : count); ++m) {
                const T* part = by_rows ? places[i] + r * row
                                        : run.partial_sums.template as<T>() +
                                              ((static_cast<std::ptrdiff_t>(m) * run.max_reductions + i) * run.R + r) * PANEL;
                sum += sum_of_lanes(part);
            }
            std::fill_n(places[i] + r * row, PANEL, sum * scale);
        }
    }
    for (int row = begin; row < end && !stage.row_code.empty(); row += run.tile_rows) {
        run_tile(stage.row_code, operands, 0, row, std::min(run.tile_rows, end - row), 0, 1);
    }
    meet();
}

// A cell without products with its state: each tile goes through all steps of the chunk by itself.
template <class T>
void Engine<T>::Run::Member::scan(int begin, int end) {
    const Stage& stage = run.plan.stages[0];
    const Share mine = panels_of(stage.width);
    for (int panel = mine.first; panel < mine.last; panel += run.tile_panels) {
        const int panels = std::min(run.tile_panels, mine.last - panel);
        for (int row = first_row; row < last_row; row += run.tile_rows) {
            const int rows = std::min(run.tile_rows, last_row - row);
            for (int i = 0; i < end - begin; ++i) {
                const int step = run.backward ? end - begin - 1 - i : i;
                run_tile(stage.code, at(step), stage.width, row, rows, panel, panels);
            }
        }
    }
    meet();
}

// Rows given from outside are brought into the chunk: x, masks, gradients of the outputs.
template <class T>
void Engine<T>::Run::Member::gather(Role role, int begin, int end) {
    const Share share(end - begin, by_rows ? 0 : id, by_rows ? 1 : count);
    for (std::size_t i = 0; i < run.plan.rows.size(); ++i) {
        const RowBuffer& buffer = run.plan.rows[i];
        if (buffer.role != role) continue;
        const Given<const T> from = role == Role::x      ? run.call.x
                                    : role == Role::mask ? run.call.masks[buffer.part]
                                                         : run.asked->dy;
        const Rows& place = run.rows[i];
        const int n = run.engine.units(buffer.width);
        for (int step = share.first; step < share.last; ++step) {
            T* to = place.base + step * place.time;
            const int t = begin + step;
            for (int r = first_row; r < last_row; ++r) {
                const T* source = nullptr;
                if (!run.call.lanes) {
                    source = from.data + r * from.batch + (run.call.reverse ? run.steps - 1 - t : t) * from.time;
                } else if (const auto at = run.call.lanes->place[static_cast<std::size_t>(t) * run.R + r]; at >= 0) {
                    source = from.data + at / run.call.T_ * from.batch + at % run.call.T_ * from.time;
                }
                copy_rows<T>(to + r * place.row, 0, source, 0, 1, n);
            }
        }
    }
}

// The outputs, or the gradient of x, go where they belong.
template <class T>
void Engine<T>::Run::Member::scatter(Role role, int begin, int end) {
    // One step is for the first member, who is also the one that begins the next sequence.
    if (!by_rows && end - begin == 1 && id != 0) return;
    const bool alone = by_rows || end - begin == 1;
    const Share share(end - begin, alone ? 0 : id, alone ? 1 : count);
    for (std::size_t i = 0; i < run.plan.rows.size(); ++i) {
        const RowBuffer& buffer = run.plan.rows[i];
        if (buffer.role != role || (role == Role::state && buffer.part != 0)) continue;
        const Given<T> to = role == Role::dx ? run.asked->dx : run.y;
        const Rows& place = run.rows[i];
        const int n = run.engine.units(buffer.width);
        for (int step = share.first; step < share.last; ++step) {
            const int t = begin + step;
            const T* from = place.base + (role == Role::state ? t + 1 : step) * place.time;
            for (int r = first_row; r < last_row; ++r) {
                T* target;
                if (!run.call.lanes) {
                    target = to.data + r * to.batch + (run.call.reverse ? run.steps - 1 - t : t) * to.time;
                } else if (const auto at = run.call.lanes->place[static_cast<std::size_t>(t) * run.R + r]; at >= 0) {
                    target = to.data + at / run.call.T_ * to.batch + at % run.call.T_ * to.time;
                } else {
                    continue;
                }
                std::memcpy(target, from + r * place.row, sizeof(T) * n);
            }
        }
    }
}

template <class T>
Residuals<T> Engine<T>::place(const Call<T>& call, const std::vector<bool>& all_steps, T* outputs, T* rest) const {
    Residuals<T> residuals;
    const std::ptrdiff_t R = call.rows(), steps = call.steps();
    for (std::size_t part = 0; part < plan_.state_widths.size(); ++part) {
        // Backwards in time the entries lie backwards, so that outputs stand in the order of time.
        const std::ptrdiff_t entry = padded(plan_.state_widths[part]) * R;
        const bool turned = call.reverse && all_steps[part];
        const int entries = all_steps[part] ? static_cast<int>(steps) + 1 : 2;
        T*& from = part == 0 && outputs ? outputs : rest;
        residuals.states.push_back({from ? from + (turned ? entry * steps : 0) : nullptr, turned ? -entry : entry, entries});
        if (from) from += entries * entry;
    }
    for (int width = 0; width < WIDTHS && rest; ++width) {
        residuals.kept[width] = rest;
        rest += steps * R * slots_size(*this, width, plan_.kept[width]);
    }
    return residuals;
}

template <class T>
void Engine<T>::run_forward(const Call<T>& call, const std::vector<T*>& final, Given<T> y, const Packed& packed,
                            Residuals<T>& residuals) const {
    Run run(*this, call, packed, false);
    const auto parts = plan_.state_widths.size();
    run.final = final;
    run.y = y;
    run.allocate_rows(&residuals, nullptr);
    run.allocate_work();
    for (int width = 0; width < WIDTHS; ++width) {
        if (!plan_.kept[width]) continue;
        if (!residuals.kept[width]) {
            residuals.own.emplace_back(
                checked_bytes(sizeof(T), {run.steps, run.R, slots_size(*this, width, plan_.kept[width])}));
            residuals.kept[width] = residuals.own.back().template as<T>();
        }
        run.kept[width] = residuals.kept[width];
    }
    for (std::size_t part = 0; part < parts; ++part) {
        const int n = units(plan_.state_widths[part]);
        if (call.lanes || !run.steps) copy_rows(final[part], n, call.given[part], n, call.B, n);
        if (!call.lanes) {
            const States<T>& states = residuals.states[part];
            copy_rows(states.first, padded(plan_.state_widths[part]), call.given[part], n, run.R, n);
        }
    }
    if (!run.R || !run.steps) return;
    run.team([&](int id, int count, Barrier& barrier) { typename Run::Member(run, id, count, barrier).forward(); });
    for (std::size_t part = 0; part < parts && !call.lanes; ++part) {
        const States<T>& states = residuals.states[part];
        const int n = units(plan_.state_widths[part]);
        const int last = states.entries == 2 && run.steps != 1 ? run.steps % 2 : run.steps;
        copy_rows(final[part], n, states.first + last * states.step, padded(plan_.state_widths[part]), run.R, n);
    }
}

template <class T>
void Engine<T>::Run::Member::forward() {
    for (int begin = 0; begin < run.steps; begin += run.chunk) {
        const int end = std::min(begin + run.chunk, run.steps);
        bind(begin, end);
        gather(Role::x, begin, end);
        gather(Role::mask, begin, end);
        meet();
        multiply_chunk(run.engine.hoisted_, begin, end);
        meet();
        if (run.engine.is_scan_ && !run.call.lanes) {
            scan(begin, end);
        } else {
            for (int t = begin; t < end; ++t) {
                if (run.call.lanes) events(t, true);
                for (std::size_t i = 0; i < run.plan.stages.size(); ++i) stage(static_cast<int>(i), t - begin, running(t));
                if (!run.call.lanes) continue;
                events(t, false);
                if (run.y.data) scatter(Role::state, t, t + 1);  // before a new sequence takes its place
            }
        }
        if (run.y.data && !run.call.lanes) scatter(Role::state, begin, end);
    }
}

// Sequences that begin before, or end after, step t.
template <class T>
void Engine<T>::Run::Member::events(int t, bool begins) {
    const auto& list = (begins ? run.call.lanes->begins : run.call.lanes->ends)[t];
    if (list.empty()) return;
    if (by_rows || id == 0) {
        for (const Lanes::Event& event : list) {
            if (event.row < first_row || event.row >= last_row) continue;
            for (std::size_t i = 0; i < run.plan.rows.size(); ++i) {
                const RowBuffer& buffer = run.plan.rows[i];
                if (buffer.role != (run.backward ? Role::carry : Role::state)) continue;
                const Rows& place = run.rows[i];
                const int n = run.engine.units(buffer.width);
                const int entry = begins ? t : t + 1;
                const std::ptrdiff_t outside = static_cast<std::ptrdiff_t>(event.sequence) * n;
                if (!run.backward) {
                    T* const row = place.base + place.time * (place.ring ? entry % 2 : entry) + event.row * place.row;
                    if (begins) {
                        const T* from = (event.fresh ? run.call.fresh : run.call.given)[buffer.part];
                        copy_rows<T>(row, 0, from ? from + outside : nullptr, 0, 1, n);
                    } else {
                        std::memcpy(run.final[buffer.part] + outside, row, sizeof(T) * n);
                    }
                    continue;
                }
                T* const row = place.base + event.row * place.row;
                if (!begins) {
                    const T* from = run.asked->dfinal[buffer.part];
                    for (int u = 0; u < n && from; ++u) row[u] += from[outside + u];
                } else {
                    T* to = (event.fresh ? run.asked->dfresh : run.asked->dgiven)[buffer.part];
                    if (to) {
                        const std::lock_guard lock(run.fresh_mutex);
                        for (int u = 0; u < n; ++u) to[outside + u] += row[u];
                    }
                    std::fill_n(row, place.row, T(0));
                }
            }
        }
    }
    meet();
}

template class Engine<float>;
template class Engine<double>;

}  // namespace rondo
