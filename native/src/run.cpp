#include "run.h"

#include <algorithm>
#include <stdexcept>

namespace rondo {
namespace {

constexpr int FORWARD_ROWS = 192, BACKWARD_ROWS = 384;  // of a chunk, over steps and batch
constexpr double ALONE_BELOW = 4e5;                     // multiply-adds of a run
constexpr double STEP_ALONE_BELOW = 6e4;                // of a step, where its panels would be divided
constexpr int RAGGED_FROM = 16;                         // rows: a kernel takes them together, step by step
constexpr std::size_t APART = 2;                        // elements that keep members off each other's cache lines

}  // namespace

template <class T>
Engine<T>::Run::Run(const Engine& engine_, const Call<T>& call_, const Packed& packed_, bool backward_)
    : engine(engine_), plan(engine_.plan_), call(call_), packed(packed_), R(call_.rows()), steps(call_.steps()),
      backward(backward_), in_place(engine_.in_place_ && !call_.lanes && R && steps),
      ragged_rows(call_.lanes && R >= RAGGED_FROM), rows(engine_.plan_.rows.size()) {
    chunk = std::clamp((backward ? BACKWARD_ROWS : FORWARD_ROWS) / std::max(R, 1), 1, std::max(steps, 1));
    tile_rows = std::clamp(R, 1, backward ? BACKWARD_TILE_ROWS : FORWARD_TILE_ROWS);
    // Even, because products with one destination take panels in pairs.
    tile_panels = std::max(2, (backward ? 64 : 32) / tile_rows / 2 * 2);
    if (in_place) {
        tile_rows = 1;
        tile_panels = TILE_VECTORS;
    }
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
        if (buffer.role == Role::state && own && !own->states[buffer.part].first) {
            // Backwards in time the entries lie backwards, so that outputs stand in the order of time.
            States<T>& states = own->states[buffer.part];
            own->own.emplace_back(checked_bytes(sizeof(T), {states.entries, entry}));
            states.first = own->own.back().template as<T>() - (states.step < 0 ? states.step * steps : 0);
        }
        if (in_place ? lies_outside(buffer, place, own) : stays_outside(i, place)) continue;
        if (buffer.role == Role::state && own) {
            const States<T>& states = own->states[buffer.part];
            place.base = states.first;
            place.time = states.step;
            place.row = states.row;
            place.ring = states.entries == 2 && steps != 1;
        } else if (buffer.role == Role::state) {
            place.base = saved->states[buffer.part].first;
            place.time = saved->states[buffer.part].step;
            place.row = saved->states[buffer.part].row;
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
Engine<T>::Run::Member::Member(Run& run_, int id_)
    : run(run_), id(id_), by_rows(run_.by_rows || run_.members == 1), operands(run_.plan.operands.size() + APART) {
    moving.reserve(operands.size() + APART);
    gradients.reserve(run.plan.gradients.size() + APART);
    const Share share(run.R, id, run.members);
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

template <class T>
void Engine<T>::Run::make_team() {
    for (int id = 0; id < members; ++id) team.emplace_back(*this, id);
}

// Panels come in pairs, because a product with one destination takes two at a time.
template <class T>
Share Engine<T>::Run::Member::panels_of(int width) const {
    const int panels = run.engine.panels(width);
    Share share(by_rows ? 1 : ceil_div(panels, 2), by_rows ? 0 : id, by_rows ? 1 : run.members);
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
Bound<T>* Engine<T>::Run::Member::at(int to) {
    if (step != to) {
        step = to;
        for (const Moving& one : moving) {
            const int entry = one.first + step;
            operands[one.operand].base = one.base + one.time * (one.ring ? entry % 2 : entry);
        }
    }
    return operands.data();
}

template <class T>
void Engine<T>::Run::Member::bind(int begin) {
    const Plan& plan = run.plan;
    const std::ptrdiff_t R = run.R;
    step = -1;
    moving.clear();
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
        operands[i] = bound;
        if (time) moving.push_back({static_cast<int>(i), bound.base, time, first, ring});
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

    places.clear();
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
        prepare_tile(products, operands, panel, panels);
        for (int row = first_row; row < rows_end; row += run.tile_rows) {
            const int rows = std::min(run.tile_rows, rows_end - row);
            auto prepared = ready.begin();
            for (const Product_& product : products) {
                if (product.half) round_source(product, operands, first_row, rows_end - first_row);
                for (int group = panel / product.per_call; group * product.per_call < panel + panels; ++group) {
                    if (product.half) multiply_half(product, operands, row, rows, group);
                    else if (product.reads_stored(group, run.packed.rows)) multiply_stored(product, operands, row, rows, group);
                    else multiply(*prepared++, row, rows);
                }
            }
            if (!stage.code.empty()) run_tile(stage.code, operands, stage.width, row, rows, panel, panels);
        }
    }
}

template <class T>
void Engine<T>::Run::Member::finish_stage(int index, int step, int rows_end) {
    const Stage& stage = run.plan.stages[index];
    Bound<T>* operands = at(step);
    // By panels, each member finishes some rows for all.
    const Share share(rows_end, by_rows ? 0 : id, by_rows ? 1 : run.members);
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
            for (int m = 0; m < (by_rows ? 1 : run.members); ++m) {
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
}

template <class T>
Residuals<T> Engine<T>::place(const Call<T>& call, const std::vector<bool>& all_steps, T* outputs, T* rest) const {
    Residuals<T> residuals;
    const std::ptrdiff_t R = call.rows(), steps = call.steps();
    for (std::size_t part = 0; part < plan_.state_widths.size(); ++part) {
        // Backwards in time the entries lie backwards, so that outputs stand in the order of time.
        const std::ptrdiff_t row = padded(plan_.state_widths[part]), entry = row * R;
        const bool turned = call.reverse && all_steps[part];
        const int entries = all_steps[part] ? static_cast<int>(steps) + 1 : 2;
        T*& from = part == 0 && outputs ? outputs : rest;
        if (call.by_sequence) {
            residuals.states.push_back({from ? from + (turned ? row * steps : 0) : nullptr, turned ? -row : row, entries * row, entries});
        } else {
            residuals.states.push_back({from ? from + (turned ? entry * steps : 0) : nullptr, turned ? -entry : entry, row, entries});
        }
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
    if (run.in_place && y.data) throw std::invalid_argument("the outputs of a scan are its states");
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
            copy_rows(states.first, states.row, call.given[part], n, run.R, n);
        }
    }
    run.clear_behind();
    if (!run.R || !run.steps) return;
    run.make_team();
    parallel(run.members, [&](Crew& crew) { run.forwards(crew); });
    for (std::size_t part = 0; part < parts && !call.lanes; ++part) {
        const States<T>& states = residuals.states[part];
        const int n = units(plan_.state_widths[part]);
        const int last = states.entries == 2 && run.steps != 1 ? run.steps % 2 : run.steps;
        copy_rows(final[part], n, states.first + last * states.step, states.row, run.R, n);
    }
}

template <class T>
void Engine<T>::Run::forwards(Crew& crew) {
    const Together together{team, crew};
    if (by_rows) together.phase([&](Member& member) { forward_chunks(Alone{member}); });
    else forward_chunks(together);
}

template <class T>
template <class Members>
void Engine<T>::Run::forward_chunks(const Members& members) {
    for (int begin = 0; begin < steps; begin += chunk) {
        const int end = std::min(begin + chunk, steps);
        members.phase([&](Member& member) {
            member.bind(begin);
            member.gather(Role::x, begin, end);
            member.gather(Role::mask, begin, end);
        });
        members.phase([&](Member& member) { member.multiply_chunk(engine.hoisted_, begin, end); });
        if (engine.is_scan_ && !call.lanes) {
            members.phase([&](Member& member) { member.scan(begin, end); });
        } else {
            for (int t = begin; t < end; ++t) {
                if (call.lanes) exchange(members, t, true);
                do_stages(members, t, t - begin);
                if (!call.lanes) continue;
                exchange(members, t, false);
                // Before a new sequence takes its place.
                if (y.data) members.each([&](Member& member) { member.scatter(Role::state, t, t + 1); });
            }
        }
        if (y.data && !call.lanes) members.each([&](Member& member) { member.scatter(Role::state, begin, end); });
    }
}

template class Engine<float>;
template class Engine<double>;

}  // namespace rondo
