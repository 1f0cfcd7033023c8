// Products on packed matrices: for one stage of a step, and for a chunk of steps at once.

#include <algorithm>
#include <type_traits>

#include "run.h"

namespace rondo {

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
    if (product.reads_stored(group, run.packed.rows)) {
        multiply_stored(product, operands, row, rows, group);
        return;
    }
    Ready ready;
    prepare(product, operands, group, ready);
    multiply(ready, row, rows);
}

template <class T>
void Engine<T>::Run::Member::prepare_tile(const std::vector<Product_>& products, const Bound<T>* operands, int panel,
                                          int panels) {
    ready.resize(std::max(ready.size(), products.size() * panels));  // before addresses inside are taken
    std::size_t at = 0;
    for (const Product_& product : products) {
        for (int group = panel / product.per_call; group * product.per_call < panel + panels; ++group) {
            if (product.half || product.reads_stored(group, run.packed.rows)) continue;
            prepare(product, operands, group, ready[at++]);
        }
    }
}

template <class T>
void Engine<T>::Run::Member::multiply(const Ready& ready, int row, int rows) const {
    const Kernels<T>& kernels = run.engine.kernels_;
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
void Engine<T>::Run::Member::multiply_stored(const Product_& product, const Bound<T>* operands, int row, int rows,
                                             int group) const {
    const Kernels<T>& kernels = run.engine.kernels_;
    const int first = group * product.per_call;
    const int panels = std::min(product.per_call, run.engine.panels(product.width) - first);
    const std::ptrdiff_t none = 0, lanes[] = {0, PANEL};
    for (std::size_t g = 0; g < product.destinations.size(); ++g) {
        const Bound<T>& destination = operands[product.destinations[g]];
        T* const c = destination.base + row * destination.row + first * destination.panel;
        const std::ptrdiff_t c_output[] = {0, destination.panel};
        const int given = product.starts[g];
        Start start = given == ZERO ? Start::zero : given == ACCUMULATE ? Start::accumulate : Start::vector;
        const T* const vector = given >= 0 ? operands[given].base + static_cast<std::ptrdiff_t>(first) * PANEL : nullptr;

        // A matrix whose rows are the sources' units is read as if it were packed, a step of it being a row.
        const auto as_packed = [&](const T* a, std::ptrdiff_t a_row, std::ptrdiff_t a_run, const T* b, std::ptrdiff_t b_step,
                                   bool empty) {
            rondo::Product<T> call;
            call.a_row = a_row;
            call.a_run = a_run;
            call.a_step = 1;
            call.a_source = &none;
            call.runs = empty ? 1 : product.runs;
            call.sources = 1;
            call.length = empty ? 0 : product.length;
            call.last_length = empty ? 0 : product.last_length;
            call.b = b;
            call.b_step = b_step;
            call.b_output = lanes;
            call.c_row = destination.row;
            call.c_output = c_output;
            for (int p = 0; p < panels; ++p) {
                call.start[p] = start;
                call.start_vector[p] = vector ? vector + p * PANEL : nullptr;
            }
            const int parts = ceil_div(rows, kernels.best_rows[panels]);
            for (int part = 0; part < parts; ++part) {
                const Share share(rows, part, parts);
                call.a = a + share.first * a_row;
                call.c = c + share.first * destination.row;
                kernels.product[share.last - share.first][panels](call);
            }
        };

        bool begun = false;
        for (std::size_t s = 0; s < product.sources.size(); ++s) {
            const BlockRef& ref = product.matrices[g][s];
            if (ref.parameter < 0) continue;
            if (begun) start = Start::accumulate;
            begun = true;
            const Parameter& stored = run.plan.parameters[ref.parameter];
            const std::ptrdiff_t height = run.engine.units(stored.rows), width = run.engine.units(stored.columns);
            const T* const block = static_cast<const T*>(run.packed.stored[ref.parameter]) + ref.block * height * width;
            const Bound<T>& source = operands[product.sources[s]];
            const T* const a = source.base + row * source.row;
            if (ref.transposed) {
                as_packed(a, source.row, source.panel, block + first * PANEL, width, false);
                continue;
            }
            for (int p = 0; p < panels; ++p) {
                const T* const b = block + (first + p) * PANEL * width;
                for (int r = 0; r < rows; r += DOT_ROWS) {
                    const int n = std::min(DOT_ROWS, rows - r);
                    kernels.dots[n]({a + r * source.row, source.row, b, width, product.length,
                                     c + r * destination.row + p * destination.panel, destination.row, start,
                                     vector ? vector + p * PANEL : nullptr});
                }
            }
        }
        if (!begun) as_packed(c, 0, 0, c, 0, true);
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
        // Where x is read as it lies, that may be otherwise.
        const Operand& source = run.plan.operands[product.sources[0]];
        const Rows* const outside =
            source.place == Place::row && run.rows[source.index].in_place ? &run.rows[source.index] : nullptr;
        const bool all_running = !run.ragged_rows || running(end - 1) == last_row;
        const bool whole =
            last_row - first_row == run.R && all_running && (!outside || outside->time == run.R * outside->row);
        const auto rows_at = [&](int step) { return whole ? n * run.R : rows_of(begin + step); };
        Share groups(product.groups, by_rows ? 0 : id, by_rows ? 1 : run.members);
        if (product.half) {
            // Step by step, so that rounded rows are those of one step; all of them where they are one block.
            for (int step = 0; step < (whole ? 1 : n); ++step) {
                rounded = -1;
                const int rows = rows_at(step);
                round_source(product, at(step), first_row, rows);
                for (int group = groups.first; group < groups.last; ++group) {
                    multiply_half(product, at(step), first_row, rows, group);
                }
            }
            continue;
        }
        for (int group = groups.first; group < groups.last; ++group) {
            for (int step = 0; step < (whole ? 1 : n); ++step) {
                multiply(product, at(step), first_row, rows_at(step), group);
            }
        }
    }
}

template class Engine<float>;
template class Engine<double>;

}  // namespace rondo
