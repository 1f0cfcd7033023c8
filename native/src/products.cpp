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

template class Engine<float>;
template class Engine<double>;

}  // namespace rondo
