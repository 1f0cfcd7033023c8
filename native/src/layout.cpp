#include "layout.h"

#include <algorithm>
#include <stdexcept>
#include <type_traits>

namespace rondo {
namespace {

constexpr std::size_t PARALLEL_FROM = 1 << 15;  // elements to pack; fewer cost less than waking a thread
// Rows of batch and time from which on packing a matrix takes less than it saves: by its rows, which are then added up
// across lanes, and by its columns.
constexpr std::ptrdiff_t ROWS_PACKED_FROM = 8, COLUMNS_PACKED_FROM = 16;

}  // namespace

template <class T>
Engine<T>::Engine(const Plan& plan, const Sizes& sizes, const Kernels<T>& kernels, int threads, bool bfloat16)
    : plan_(plan), sizes_(sizes), kernels_(kernels), threads_(threads),
      halves_(bfloat16 ? bfloat16_kernels() : nullptr) {
    plan_.check();
    if (bfloat16 && (!halves_ || !std::is_same_v<T, float> || !plan_.outers.empty())) {
        throw std::invalid_argument("bfloat16 is for inference in float32 on machines that have its instructions");
    }
    is_scan_ = plan_.stages.size() == 1;
    for (const Stage& stage : plan_.stages) {
        stage_products_.emplace_back();
        for (const Group& group : stage.groups) cut(group, stage_products_.back());
        is_scan_ = is_scan_ && stage.groups.empty() && stage.reductions.empty() && stage.row_code.empty();
    }
    const auto none = [](int slots) { return slots == 0; };
    in_place_ = is_scan_ && plan_.hoisted.empty() && plan_.after.empty() && plan_.outers.empty() &&
                std::all_of(plan_.kept.begin(), plan_.kept.end(), none) &&
                std::all_of(plan_.work.begin(), plan_.work.end(), none);
    for (const Group& group : plan_.hoisted) cut(group, hoisted_);
    for (const Group& group : plan_.after) cut(group, after_);

    for (const Outer& outer : plan_.outers) {
        const int parts = ceil_div(static_cast<int>(outer.lefts.size()), MAX_OUTPUTS);
        for (int part = 0; part < parts; ++part) {
            const Share share(static_cast<int>(outer.lefts.size()), part, parts);
            OuterProduct product;
            product.right = outer.right;
            product.lefts.assign(outer.lefts.begin() + share.first, outer.lefts.begin() + share.last);
            product.width = plan_.operands[product.lefts[0].slot].width;
            product.columns = units(plan_.operands[outer.right].width);
            product.panel_size = static_cast<std::size_t>(product.columns) * product.lefts.size() * PANEL;
            product.offset = accumulated_size_;
            accumulated_size_ += product.panel_size * panels(product.width);
            outers_.push_back(product);
        }
    }

    operand_read_.resize(plan_.operands.size());
    read_by_code_.resize(plan_.rows.size());
    read_by_products_.resize(plan_.rows.size());
    const auto mark = [&](std::vector<bool>& readers, int number) {
        if (plan_.operands[number].place == Place::row) readers[plan_.operands[number].index] = true;
    };
    for (const Stage& stage : plan_.stages) {
        for (const auto* code : {&stage.code, &stage.row_code}) {
            for (const Instruction& one : *code) {
                for (int number : {one.a, one.b, one.c, one.d}) {
                    operand_read_[number] = true;
                    mark(read_by_code_, number);
                }
            }
        }
    }
    for (const auto* products : {&hoisted_, &after_}) {
        for (const Product_& product : *products) {
            for (int number : product.sources) mark(read_by_products_, number);
        }
    }
    for (const auto& products : stage_products_) {
        for (const Product_& product : products) {
            for (int number : product.sources) mark(read_by_products_, number);
        }
    }

    std::vector<int> blocks(plan_.parameters.size());
    for (const Outer& outer : plan_.outers) {
        for (const Left& left : outer.lefts) ++blocks[left.parameter];
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) whole_gradients_.push_back(blocks[i] == plan_.parameters[i].blocks);

    std::ptrdiff_t at = 0;
    for (const auto& references : plan_.vectors) {
        vector_offsets_.push_back(at);
        at += padded(plan_.parameters[references[0].parameter].rows);
    }
    vectors_size_ = static_cast<std::size_t>(at);
    constants_ = Memory(checked_bytes(sizeof(T), {static_cast<std::ptrdiff_t>(plan_.constants.size() + 1), PANEL}));
    for (std::size_t i = 0; i < plan_.constants.size(); ++i) {
        const Constant& constant = plan_.constants[i];
        const double n = constant.over_units_of < 0 ? 1.0 : units(constant.over_units_of);
        std::fill_n(constants_.as<T>() + i * PANEL, PANEL, static_cast<T>(constant.value / n));
    }
}

template <class T>
Engine<T>::~Engine() = default;

template <class T>
int Engine<T>::panels(int width) const {
    return ceil_div(sizes_[width], PANEL);
}

template <class T>
void Engine<T>::cut(const Group& group, std::vector<Product_>& into) {
    // Destinations in one kind of place have one distance between rows: only they go together.
    std::vector<std::vector<int>> alike;
    std::vector<int> places;
    for (int g = 0; g < static_cast<int>(group.destinations.size()); ++g) {
        const int place = static_cast<int>(plan_.operands[group.destinations[g]].place);
        std::size_t i = 0;
        while (i < places.size() && places[i] != place) ++i;
        if (i == places.size()) {
            places.push_back(place);
            alike.emplace_back();
        }
        alike[i].push_back(g);
    }
    const Operand& source = plan_.operands[group.sources[0]];
    for (const std::vector<int>& chosen : alike) {
        const int parts = ceil_div(static_cast<int>(chosen.size()), MAX_OUTPUTS);
        for (int part = 0; part < parts; ++part) {
            const Share share(static_cast<int>(chosen.size()), part, parts);
            Product_ product;
            product.width = plan_.operands[group.destinations[0]].width;
            product.from_rows = source.place == Place::row;
            product.sources = group.sources;
            for (int i = share.first; i < share.last; ++i) {
                product.destinations.push_back(group.destinations[chosen[i]]);
                product.starts.push_back(group.starts[chosen[i]]);
                product.matrices.push_back(group.matrices[chosen[i]]);
            }
            product.per_call = product.destinations.size() == 1 ? 2 : 1;
            product.groups = ceil_div(panels(product.width), product.per_call);
            const int n = units(source.width);
            product.runs = product.from_rows ? 1 : panels(source.width);
            product.length = product.from_rows ? n : PANEL;
            product.last_length = product.from_rows ? n : n - (product.runs - 1) * PANEL;
            product.steps = n * static_cast<int>(product.sources.size());
            product.group_size = static_cast<std::size_t>(product.steps) * product.step_size();
            product.offset = packed_size_;
            packed_size_ += product.group_size * product.groups;
            bool stored = !halves_;
            product.packed_from = COLUMNS_PACKED_FROM;
            for (const auto& row : product.matrices) {
                for (const BlockRef& ref : row) {
                    if (ref.parameter < 0) continue;
                    stored = stored && plan_.parameters[ref.parameter].heads == 1 && (product.from_rows || ref.transposed);
                    if (!ref.transposed) product.packed_from = ROWS_PACKED_FROM;
                }
            }
            // The last panel is not there to be read, where it is not full.
            if (stored) product.from_stored = product.groups - (units(product.width) % PANEL ? 1 : 0);
            product.half = halves_ && product.from_rows;
            if (product.half) {
                product.half_group_size = static_cast<std::size_t>(product.steps + product.steps % 2) * product.step_size();
                product.half_offset = halves_size_;
                halves_size_ += product.half_group_size * product.groups;
            }
            into.push_back(std::move(product));
        }
    }
}

template <class T>
void Engine<T>::pack_product(const Product_& product, int panel_group, const std::vector<const T*>& parameters,
                             T* to) const {
    const int G = static_cast<int>(product.destinations.size());
    const std::ptrdiff_t step = product.step_size();
    T* const base = to + product.offset + product.group_size * panel_group;
    const int n_sources = static_cast<int>(product.sources.size());
    for (int p = 0; p < product.per_call; ++p) {
        const int unit = (panel_group * product.per_call + p) * PANEL;
        const int lanes = std::clamp(units(product.width) - unit, 0, PANEL);
        for (int g = 0; g < G; ++g) {
            T* at = base + (p * G + g) * PANEL;
            for (int run = 0; run < product.runs; ++run) {
                const int length = run + 1 < product.runs ? product.length : product.last_length;
                for (int s = 0; s < n_sources; ++s, at += length * step) {
                    const BlockRef& ref = product.matrices[g][s];
                    const bool there = ref.parameter >= 0 && lanes > 0;
                    if (!there || plan_.parameters[ref.parameter].heads > 1) {
                        for (int k = 0; k < length; ++k) std::fill_n(at + k * step, PANEL, T(0));
                    }
                    if (!there) continue;
                    // The stored matrix has `rows` rows a block; source and destination change sides in a transpose.
                    const Parameter& stored = plan_.parameters[ref.parameter];
                    const int rows = units(stored.rows), columns = units(stored.columns) / stored.heads;
                    const T* block = parameters[ref.parameter] + static_cast<std::ptrdiff_t>(ref.block) * rows * columns;
                    const int first = run * PANEL;  // of the source's units
                    if (stored.heads == 1) {
                        if (ref.transposed) {
                            kernels_.pack_columns(block + static_cast<std::ptrdiff_t>(first) * columns + unit, columns,
                                                  length, lanes, at, step);
                        } else {
                            kernels_.pack_rows(block + static_cast<std::ptrdiff_t>(unit) * columns + first, columns,
                                               lanes, length, at, step);
                        }
                        continue;
                    }
                    const int head_rows = rows / stored.heads;
                    for (int k = 0; k < length; ++k) {
                        for (int lane = 0; lane < lanes; ++lane) {
                            const int row = ref.transposed ? first + k : unit + lane;
                            const int column = ref.transposed ? unit + lane : first + k;
                            if (row / head_rows == column / columns) {
                                at[k * step + lane] = block[static_cast<std::ptrdiff_t>(row) * columns + column % columns];
                            }
                        }
                    }
                }
            }
        }
    }
}

template <class T>
void Engine<T>::pack_half(const Product_& product, int panel_group, const Packed& packed) const {
    if constexpr (std::is_same_v<T, float>) {
        const T* const from = packed.matrices.template as<T>() + product.offset + product.group_size * panel_group;
        Bfloat16* const to = packed.halves.template as<Bfloat16>() + product.half_offset + product.half_group_size * panel_group;
        for (int i = 0; i < product.outputs(); ++i) {
            pack_bfloat16(from + i * PANEL, product.step_size(), product.steps, to + i * 2 * PANEL, 2 * product.step_size());
        }
    }
}

template <class T>
void Engine<T>::pack_vectors(const std::vector<const T*>& parameters, T* to) const {
    for (std::size_t i = 0; i < plan_.vectors.size(); ++i) {
        T* const sum = to + vector_offsets_[i];
        const int n = units(plan_.parameters[plan_.vectors[i][0].parameter].rows);
        for (std::size_t j = 0; j < plan_.vectors[i].size(); ++j) {
            const auto [parameter, block] = plan_.vectors[i][j];
            const T* const value = parameters[parameter] + static_cast<std::ptrdiff_t>(block) * n;
            for (int u = 0; u < n; ++u) sum[u] = j ? sum[u] + value[u] : value[u];
        }
    }
}

template <class T>
Packed Engine<T>::pack(const std::vector<const T*>& parameters, std::ptrdiff_t rows) const {
    Packed packed;
    packed.stored.assign(parameters.begin(), parameters.end());
    packed.rows = rows;
    packed.matrices = Memory(checked_bytes(sizeof(T), {static_cast<std::ptrdiff_t>(packed_size_ + PANEL)}));
    packed.vectors = Memory(checked_bytes(sizeof(T), {static_cast<std::ptrdiff_t>(vectors_size_ + PANEL)}));
    if (halves_) packed.halves = Memory(checked_bytes(sizeof(Bfloat16), {static_cast<std::ptrdiff_t>(halves_size_ + PANEL)}));
    std::vector<const std::vector<Product_>*> lists{&hoisted_, &after_};
    for (const auto& products : stage_products_) lists.push_back(&products);
    const int members = rows >= ROWS_PACKED_FROM && packed_size_ > PARALLEL_FROM ? threads_ : 1;
    const auto pack_part = [&](int member) {
        for (const auto* list : lists) {
            for (const Product_& product : *list) {
                const Share share(product.groups, member, members);
                for (int group = share.first; group < share.last; ++group) {
                    if (product.reads_stored(group, rows)) continue;
                    pack_product(product, group, parameters, packed.matrices.as<T>());
                    if (product.half) pack_half(product, group, packed);
                }
            }
        }
        if (member == 0) pack_vectors(parameters, packed.vectors.as<T>());
    };
    parallel(members, [&](Crew& crew) { crew.phase(pack_part); });
    return packed;
}

template class Engine<float>;
template class Engine<double>;

}  // namespace rondo
