// Backpropagation through time: the derived step from the last to the first, then the matrices' gradients.

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "run.h"

namespace rondo {
namespace {

template <class T>
void copy_or_clear(T* to, const T* from, std::ptrdiff_t n) {
    if (from) std::memcpy(to, from, sizeof(T) * n);
    else std::fill_n(to, n, T(0));
}

}  // namespace

template <class T>
void Engine<T>::run_backward(const Call<T>& call, const Packed& packed, const Residuals<T>& residuals,
                             const Gradients<T>& gradients) const {
    Run run(*this, call, packed, true);
    run.asked = &gradients;
    run.allocate_rows(nullptr, &residuals);
    run.allocate_work();
    run.kept = residuals.kept;

    std::ptrdiff_t sums = 0;
    for (const auto& references : plan_.gradients) sums += padded(plan_.parameters[references[0].parameter].rows);
    run.gradients = Memory(checked_bytes(sizeof(T), {run.members, sums + PANEL}));
    if (!gradients.sums) run.accumulated = Memory(checked_bytes(sizeof(T), {sums_size()}));
    std::ptrdiff_t at = 0;
    for (const OuterProduct& product : outers_) {
        // Packed for the number of rows that the kernel for so many outputs takes: once for each such number.
        const int best = kernels_.best_rows[product.lefts.size()];
        run.rights.push_back(product.right);
        std::ptrdiff_t offset = -1;
        for (std::size_t i = 0; i + 1 < run.rights.size(); ++i) {
            if (run.rights[i] == product.right && kernels_.best_rows[outers_[i].lefts.size()] == best) {
                offset = run.right_offsets[i];
            }
        }
        run.right_offsets.push_back(offset >= 0 ? offset : at);
        if (offset < 0) at += static_cast<std::ptrdiff_t>(ceil_div(product.columns, best)) * best * run.chunk * run.R;
    }
    run.packed_rights = Memory(checked_bytes(sizeof(T), {at + PANEL}));

    const auto parts = plan_.state_widths.size();
    for (std::size_t part = 0; part < parts; ++part) {
        const std::ptrdiff_t n = units(plan_.state_widths[part]);
        if (gradients.dfresh[part]) std::fill_n(gradients.dfresh[part], n * call.B, T(0));
        if (T* const given = gradients.dgiven[part]) {
            copy_or_clear(given, gradients.dfinal[part], n * call.B);
            // Sequences without steps hand their gradient through; all others add theirs.
            for (std::size_t t = 0; call.lanes && t < call.lanes->ends.size(); ++t) {
                for (const Lanes::Event& event : call.lanes->ends[t]) std::fill_n(given + event.sequence * n, n, T(0));
            }
        }
    }
    const bool runs = run.R && run.steps;
    for (std::size_t i = 0; i < plan_.parameters.size(); ++i) {
        if (!gradients.dparameters[i] || !gradients.first || (runs && whole_gradients_[i])) continue;
        const Parameter& p = plan_.parameters[i];
        const std::ptrdiff_t columns = p.columns < 0 ? 1 : units(p.columns) / p.heads;
        std::fill_n(gradients.dparameters[i], columns * p.blocks * units(p.rows), T(0));
    }
    if (!runs) return;
    run.find_few();
    run.clear_fresh_sums();

    for (std::size_t i = 0; i < plan_.rows.size(); ++i) {
        const RowBuffer& buffer = plan_.rows[i];
        if (buffer.role != Role::carry) continue;
        const int n = units(buffer.width);
        const T* from = call.lanes ? nullptr : gradients.dfinal[buffer.part];
        for (int r = 0; r < run.R; ++r) {
            copy_or_clear(run.rows[i].base + r * run.rows[i].row, from ? from + static_cast<std::ptrdiff_t>(r) * n : nullptr, n);
        }
    }
    run.make_team();
    parallel(run.members, [&](Crew& crew) { run.backwards(crew); });
    run.add_fresh_sums();
    for (std::size_t i = 0; i < plan_.rows.size() && !call.lanes; ++i) {
        const RowBuffer& buffer = plan_.rows[i];
        if (buffer.role != Role::carry || !gradients.dgiven[buffer.part]) continue;
        const int n = units(buffer.width);
        for (int r = 0; r < run.R; ++r) {
            std::memcpy(gradients.dgiven[buffer.part] + static_cast<std::ptrdiff_t>(r) * n,
                        run.rows[i].base + r * run.rows[i].row, sizeof(T) * n);
        }
    }
}

template <class T>
void Engine<T>::Run::backwards(Crew& crew) {
    const Together together{team, crew};
    if (by_rows && engine.outers_.empty()) {
        together.phase([&](Member& member) {
            for (int end = steps; end > 0; end = chunk_before(end)) backward_chunk(Alone{member}, chunk_before(end), end);
        });
    } else {
        for (int end = steps; end > 0; end = chunk_before(end)) {
            const int begin = chunk_before(end);
            if (by_rows) together.phase([&](Member& member) { backward_chunk(Alone{member}, begin, end); });
            else backward_chunk(together, begin, end);
            if (few) {
                together.phase([&](Member& member) { member.outer_products_of_few(end); });
            } else if (!engine.outers_.empty()) {
                together.phase([&](Member& member) { member.pack_rights(begin, end); });
                together.phase([&](Member& member) { member.outer_products(begin, end, end == steps && asked->first); });
            }
        }
    }
    together.each([&](Member& member) { member.unpack_gradients(); });
}

template <class T>
template <class Members>
void Engine<T>::Run::backward_chunk(const Members& members, int begin, int end) {
    members.phase([&](Member& member) {
        member.bind(begin);
        member.gather(Role::x, begin, end);
        member.gather(Role::mask, begin, end);
        member.gather(Role::dy, begin, end);
        member.clear_left_out(begin, end);
    });
    if (engine.is_scan_ && !call.lanes) {
        members.phase([&](Member& member) { member.scan(begin, end); });
    } else {
        for (int t = end - 1; t >= begin; --t) {
            if (call.lanes) exchange(members, t, false);
            do_stages(members, t, t - begin);
            if (call.lanes) exchange(members, t, true);
        }
    }
    members.phase([&](Member& member) { member.multiply_chunk(engine.after_, begin, end); });
    members.phase([&](Member& member) { member.scatter(Role::dx, begin, end); });
}

template <class T>
void Engine<T>::Run::clear_fresh_sums() {
    for (std::size_t part = 0; part < plan.state_widths.size(); ++part) {
        fresh_sums.emplace_back();
        if (!call.lanes || !by_rows || members == 1 || !asked->dfresh[part]) continue;
        const std::ptrdiff_t n = engine.units(plan.state_widths[part]);
        fresh_sums[part] = Memory(checked_bytes(sizeof(T), {members - 1, call.B, n}));
        std::fill_n(fresh_sums[part].template as<T>(), (members - 1) * call.B * n, T(0));
    }
}

template <class T>
void Engine<T>::Run::add_fresh_sums() const {
    for (std::size_t part = 0; part < fresh_sums.size(); ++part) {
        const std::ptrdiff_t n = call.B * std::ptrdiff_t{engine.units(plan.state_widths[part])};
        const T* from = fresh_sums[part].template as<T>();
        for (int member = 1; from && member < members; ++member) {
            for (std::ptrdiff_t i = 0; i < n; ++i) asked->dfresh[part][i] += *from++;
        }
    }
}

// Rows behind their last step take no part in the steps, but do in the products over a chunk: as zeros.
template <class T>
void Engine<T>::Run::Member::clear_left_out(int begin, int end) {
    if (!run.call.lanes) return;
    const Share share(end - begin, by_rows ? 0 : id, by_rows ? 1 : run.members);
    for (int step = share.first; step < share.last; ++step) {
        const int n = run.call.lanes->running[begin + step];
        for (int width = 0; width < WIDTHS; ++width) {
            const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(run.plan.work[width]) * PANEL;
            for (int panel = 0; row && panel < run.engine.panels(width); ++panel) {
                T* const rows = run.work[width] + (static_cast<std::ptrdiff_t>(panel) * run.chunk + step) * run.R * row;
                const int from = std::max(n, first_row);
                if (from < last_row) std::fill_n(rows + from * row, (last_row - from) * row, T(0));
            }
        }
    }
}

// Right sides as [columns in the kernel's rows][step and row][such a column]: what the kernel reads is together. Each is
// read once, row after row as it lies.
template <class T>
void Engine<T>::Run::Member::pack_rights(int begin, int end) {
    static_assert(MAX_ROWS <= PANEL);
    const int steps = end - begin;
    for (std::size_t i = 0; i < run.engine.outers_.size(); ++i) {
        bool done = false;
        for (std::size_t j = 0; j < i; ++j) done = done || run.right_offsets[j] == run.right_offsets[i];
        if (done) continue;
        const OuterProduct& product = run.engine.outers_[i];
        const int best = run.engine.kernels_.best_rows[product.lefts.size()];
        const Rows& place = run.rows[run.plan.operands[product.right].index];
        const Share share(ceil_div(product.columns, best), id, run.members);
        const std::ptrdiff_t tile_size = static_cast<std::ptrdiff_t>(best) * run.chunk * run.R;
        T* const packed = run.packed_rights.template as<T>() + run.right_offsets[i];
        // `loose`: what is written behind the columns belongs to rows that are yet to come.
        const int behind = ceil_div(PANEL - best, best);
        const auto pack_row = [&](const T* from, int step, int r, bool loose) {
            T* to = packed + share.first * tile_size + (static_cast<std::ptrdiff_t>(step) * run.R + r) * best;
            for (int tile = share.first; tile < share.last; ++tile, to += tile_size) {
                const int column = tile * best, columns = std::min(best, product.columns - column);
                if (!from) std::fill_n(to, best, T(0));
                else if (loose && column + PANEL <= product.columns) std::memcpy(to, from + column, sizeof(T) * PANEL);
                else for (int k = 0; k < columns; ++k) to[k] = from[column + k];
            }
        };
        if (place.in_place && std::abs(place.time) < std::abs(place.row)) {
            const T* const first = at(0)[product.right].base;
            for (int r = 0; r < run.R; ++r) {
                for (int step = 0; step < steps; ++step) {
                    pack_row(first + r * place.row + step * place.time, step, r, r + behind < run.R);
                }
            }
            continue;
        }
        for (int step = 0; step < steps; ++step) {
            const int n_running = run.call.lanes ? run.call.lanes->running[begin + step] : run.R;
            const T* from = at(step)[product.right].base;
            for (int r = 0; r < run.R; ++r, from += place.row) {
                pack_row(r < n_running ? from : nullptr, step, r, step * run.R + r + behind < steps * run.R);
            }
        }
    }
}

template <class T>
void Engine<T>::Run::Member::outer_products(int begin, int end, bool first) {
    const int n = (end - begin) * run.R;
    T* const all_sums = run.asked->sums ? run.asked->sums : run.accumulated.template as<T>();
    const Kernels<T>& kernels = run.engine.kernels_;
    for (std::size_t i = 0; i < run.engine.outers_.size(); ++i) {
        const OuterProduct& product = run.engine.outers_[i];
        const int G = static_cast<int>(product.lefts.size());
        const int best = kernels.best_rows[G];
        const Bound<T>& left = at(0)[product.lefts[0].slot];
        const std::ptrdiff_t zero = 0;
        std::ptrdiff_t b_output[MAX_OUTPUTS], c_output[MAX_OUTPUTS];
        rondo::Product<T> call;
        for (int g = 0; g < G; ++g) {
            b_output[g] = at(0)[product.lefts[g].slot].base - left.base;
            c_output[g] = g * PANEL;
            call.start[g] = first ? Start::zero : Start::accumulate;
            call.start_vector[g] = nullptr;
        }
        call.a_row = 1;
        call.a_run = 0;
        call.a_step = best;
        call.a_source = &zero;
        call.runs = call.sources = 1;
        call.length = call.last_length = n;
        call.b_step = left.row;
        call.b_output = b_output;
        call.c_row = static_cast<std::ptrdiff_t>(G) * PANEL;
        call.c_output = c_output;
        const Share share(run.engine.panels(product.width), id, run.members);
        for (int panel = share.first; panel < share.last; ++panel) {
            call.b = left.base + panel * left.panel;
            T* const sums = all_sums + product.offset + product.panel_size * panel;
            for (int column = 0; column < product.columns; column += best) {
                call.a = run.packed_rights.template as<T>() + run.right_offsets[i] +
                         static_cast<std::ptrdiff_t>(column) * run.chunk * run.R;
                call.c = sums + column * call.c_row;
                kernels.product[std::min(best, product.columns - column)][G](call);
            }
        }
    }
}

// Few rows of batch and time, all in one chunk, one distance apart: no sums are kept between chunks then, and what
// the matrices' gradients are made of is so little that it needs no order of its own.
template <class T>
void Engine<T>::Run::find_few() {
    few = static_cast<std::int64_t>(R) * steps <= FEW_ROWS && steps <= chunk && !call.lanes && !asked->sums;
    for (const OuterProduct& product : engine.outers_) {
        const Rows& right = rows[plan.operands[product.right].index];
        few = few && (steps == 1 || R == 1 || right.time == R * right.row);
        for (const Left& left : product.lefts) few = few && plan.parameters[left.parameter].heads == 1;
    }
}

// Units of the left side times panels of columns, written where the gradients belong.
template <class T>
void Engine<T>::Run::Member::outer_products_of_few(int steps) {
    const Kernels<T>& kernels = run.engine.kernels_;
    const std::ptrdiff_t none = 0, apart[MAX_OUTPUTS] = {0, PANEL, 2 * PANEL, 3 * PANEL};
    for (const OuterProduct& product : run.engine.outers_) {
        const Bound<T>& right = at(0)[product.right];
        const int whole = product.columns / PANEL, tail = product.columns % PANEL;
        const Share share(run.engine.panels(product.width), id, run.members);
        for (const Left& one : product.lefts) {
            const Bound<T>& left = at(0)[one.slot];
            T* const whole_gradient = run.asked->dparameters[one.parameter];
            if (!whole_gradient) continue;
            const int height = run.engine.units(run.plan.parameters[one.parameter].rows);
            T* const block = whole_gradient + static_cast<std::ptrdiff_t>(one.block) * height * product.columns;
            rondo::Product<T> call;
            call.a_row = 1;
            call.a_run = 0;
            call.a_step = left.row;
            call.a_source = &none;
            call.runs = call.sources = 1;
            call.length = call.last_length = steps * run.R;
            call.b_step = run.R == 1 ? run.rows[run.plan.operands[product.right].index].time : right.row;
            call.b_output = call.c_output = apart;
            for (int i = 0; i < MAX_OUTPUTS; ++i) call.start[i] = Start::zero;
            for (int panel = share.first; panel < share.last; ++panel) {
                const int units = std::min(PANEL, run.engine.units(product.width) - panel * PANEL);
                T* const rows = block + static_cast<std::ptrdiff_t>(panel) * PANEL * product.columns;
                T last[PANEL * PANEL];
                for (int column = 0; column < whole + (tail != 0);) {
                    const int outputs = column < whole ? std::min(MAX_OUTPUTS, whole - column) : 1;
                    call.b = right.base + column * PANEL;
                    call.c_row = column < whole ? product.columns : PANEL;
                    T* const c = column < whole ? rows + column * PANEL : last;
                    const int parts = ceil_div(units, kernels.best_rows[outputs]);
                    for (int part = 0; part < parts; ++part) {
                        const Share some(units, part, parts);
                        call.a = left.base + panel * left.panel + some.first;
                        call.c = c + some.first * call.c_row;
                        kernels.product[some.last - some.first][outputs](call);
                    }
                    column += outputs;
                }
                if (tail) copy_rows(rows + whole * PANEL, product.columns, last, PANEL, units, tail);
            }
        }
    }
}

template <class T>
void Engine<T>::Run::Member::unpack_gradients() {
    const Engine& engine = run.engine;
    const T* const all_sums = run.asked->sums ? run.asked->sums : run.accumulated.template as<T>();
    for (const OuterProduct& product : engine.outers_) {
        if (run.few || !run.asked->last) break;
        const int G = static_cast<int>(product.lefts.size());
        const Share share(engine.panels(product.width), id, run.members);
        for (int panel = share.first; panel < share.last; ++panel) {
            const T* const sums = all_sums + product.offset + product.panel_size * panel;
            const int lanes = std::min(PANEL, engine.units(product.width) - panel * PANEL);
            for (int g = 0; g < G; ++g) {
                const Parameter& stored = run.plan.parameters[product.lefts[g].parameter];
                T* const whole = run.asked->dparameters[product.lefts[g].parameter];
                if (!whole) continue;
                const int rows = engine.units(stored.rows), columns = engine.units(stored.columns) / stored.heads;
                T* const block = whole + static_cast<std::ptrdiff_t>(product.lefts[g].block) * rows * columns;
                if (stored.heads == 1) {
                    engine.kernels_.unpack_rows(sums + g * PANEL, static_cast<std::ptrdiff_t>(G) * PANEL, lanes, columns,
                                                block + static_cast<std::ptrdiff_t>(panel) * PANEL * columns, columns);
                    continue;
                }
                for (int first = 0; first < product.columns; first += PANEL) {
                    for (int lane = 0; lane < lanes; ++lane) {
                        const int unit = panel * PANEL + lane;
                        const int from = unit / (rows / stored.heads) * columns;  // of the unit's head
                        T* const row = block + static_cast<std::ptrdiff_t>(unit) * columns;
                        const int begin = std::max(first, from);
                        const int end = std::min({first + PANEL, from + columns, product.columns});
                        const T* sum = sums + (static_cast<std::ptrdiff_t>(begin) * G + g) * PANEL + lane;
                        for (int k = begin; k < end; ++k, sum += static_cast<std::ptrdiff_t>(G) * PANEL) row[k - from] = *sum;
                    }
                }
            }
        }
    }
    if (id != 0) return;
    std::ptrdiff_t each = 0;  // of a member's sums to the next one's
    for (const auto& references : run.plan.gradients) {
        each += engine.padded(run.plan.parameters[references[0].parameter].rows);
    }
    for (std::size_t i = 0; i < run.plan.gradients.size(); ++i) {
        const int n = engine.units(run.plan.parameters[run.plan.gradients[i][0].parameter].rows);
        for (const Reference& one : run.plan.gradients[i]) {
            T* const to = run.asked->dparameters[one.parameter];
            if (!to) continue;
            for (int member = 0; member < run.members; ++member) {
                const T* part = gradients[i].base + member * each;
                T* const row = to + static_cast<std::ptrdiff_t>(one.block) * n;
                for (int u = 0; u < n; ++u) row[u] += part[u];
            }
        }
    }
}

template class Engine<float>;
template class Engine<double>;

}  // namespace rondo
