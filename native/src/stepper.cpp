#include "stepper.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>

#include "run.h"

namespace rondo {
namespace {

constexpr std::ptrdiff_t ALL_PACKED = std::numeric_limits<std::ptrdiff_t>::max();
constexpr std::size_t BYTES_EACH = 192 << 10;  // of weights for each member: fewer are read before another comes
// From so many bytes on, matrices lie in huge pages: in small ones, spread over the machine's memory by chance, they
// displace each other from a cache that has room for all.
constexpr std::size_t HUGE_FROM = 256 << 10, HUGE_PAGE = 2 << 20;
// A team that has not been called for so long may sleep, and takes longer to wake than most steps take.
constexpr auto AWAKE = std::chrono::microseconds(200);

}  // namespace

// A call of a micro-kernel with everything it needs.
template <class T>
struct Stepper<T>::Call_ {
    typename Engine<T>::Run::Ready ready;
    void (*kernel)(const Product<T>&);
};

// A reduction: lanes of all members' partial sums are added up and stand in all lanes of `place`.
template <class T>
struct Stepper<T>::Sum {
    T* place;
    std::ptrdiff_t row;
    T* parts;  // [member][row][16]
    int members, rows;
    int first, last;  // rows that are finished, or cleared
    T scale;
};

// Adding to one of these moves nothing that is there already.
template <class T>
struct Stepper<T>::Recorded {
    std::deque<Call_> calls;
    std::deque<Tile<T>> tiles;
    std::deque<Sum> sums;
    std::deque<std::vector<Bound<T>>> bounds;
};

template <class T>
struct Stepper<T>::Layer {
    Layer(const Engine<T>& engine_, const std::vector<const T*>& parameters, int batch)
        : engine(engine_), packed(engine_.pack(parameters, ALL_PACKED)) {
        call.B = batch;
        call.T_ = 2;  // both phases
        run = std::make_unique<typename Engine<T>::Run>(engine, call, packed, false);
        run->chunk = 2;
    }

    const Engine<T>& engine;
    Packed packed;
    Call<T> call;
    std::unique_ptr<typename Engine<T>::Run> run;
    std::vector<std::vector<Bound<T>>> operands[2];  // by phase and member
    int x = -1, output = -1;  // row buffers
    std::vector<int> states;  // by part: its row buffer

    bool recurrent() const { return !states.empty(); }
    int units(int row) const { return engine.units(run->plan.rows[row].width); }

    // What is in a row buffer after the last step, which was one of this phase.
    T* now(int row, int phase, int b) const {
        const auto& place = run->rows[row];
        return place.base + (place.ring ? (1 - phase) * place.time : 0) + b * place.row;
    }

    void allocate_rows() {
        for (std::size_t i = 0; i < run->rows.size(); ++i) {
            auto& place = run->rows[i];
            place.ring = run->plan.rows[i].role == Role::state;
            place.row = engine.padded(run->plan.rows[i].width);
            const std::ptrdiff_t entry = place.row * call.B, entries = place.ring ? 2 : 1;
            place.memory = Memory(checked_bytes(sizeof(T), {entries, entry}));
            place.base = place.memory.template as<T>();
            place.time = place.ring ? entry : 0;
            std::fill_n(place.base, entries * entry, T(0));
        }
    }

    // x is what the layer below has just written.
    void read_from(const Layer& below) {
        auto& place = run->rows[x];
        const auto& given = below.run->rows[below.output];
        if (place.row != given.row) throw std::invalid_argument("layers whose widths do not fit");
        place.base = below.now(below.output, 0, 0);
        place.time = -given.time;
    }
};

template <class T>
Stepper<T>::Stepper(int batch, int threads)
    : batch_(batch), threads_(std::max(threads, 1)), recorded_(std::make_unique<Recorded>()) {
    if (batch < 1) throw std::invalid_argument("a batch of at least one sequence");
}

template <class T>
Stepper<T>::~Stepper() = default;

template <class T>
void Stepper<T>::add(const Engine<T>& engine, const std::vector<const T*>& parameters) {
    auto layer = std::make_unique<Layer>(engine, parameters, batch_);
    const Plan& plan = engine.plan();
    layer->states.assign(plan.state_widths.size(), -1);
    for (int i = 0; i < static_cast<int>(plan.rows.size()); ++i) {
        const RowBuffer& buffer = plan.rows[i];
        if (buffer.role == Role::mask) throw std::invalid_argument("a stepper has no masks");
        if (buffer.role == Role::x) layer->x = i;
        if (buffer.role == Role::state) layer->states.at(buffer.part) = i;
        if (buffer.role == Role::own) layer->output = i;
    }
    for (int kept : plan.kept) {
        if (kept) throw std::invalid_argument("a stepper keeps nothing for a backward run");
    }
    if (layer->recurrent()) layer->output = layer->states[0];
    if (layer->x < 0 || layer->output < 0) throw std::invalid_argument("a layer without an input or an output");
    bytes_ += engine.packed_size_ * sizeof(T);
    layers_.push_back(std::move(layer));
}

template <class T>
void Stepper<T>::add_table(const T* table, std::int64_t rows) {
    tables_.emplace_back(table, rows);
}

template <class T>
void Stepper<T>::divide() {
    // One or two rows take as long as the weights take to be read.
    const std::size_t work = bytes_ * static_cast<std::size_t>(std::max(batch_ / 2, 1));
    int most = 1;  // panels are divided in pairs
    for (const auto& layer : layers_) {
        for (int width = 0; width < WIDTHS; ++width) most = std::max(most, ceil_div(layer->engine.panels(width), 2));
    }
    most = std::min(most, threads_);
    members_ = static_cast<int>(std::clamp<std::size_t>(work / BYTES_EACH, 1, static_cast<std::size_t>(most)));
}

template <class T>
void Stepper<T>::finish(T* output) {
    if (layers_.empty()) throw std::invalid_argument("a stepper without layers");
    output_ = output;
    divide();
    const Layer* below = nullptr;
    for (const auto& layer : layers_) {
        auto& run = *layer->run;
        run.members = members_;
        run.by_rows = false;
        run.allocate_work();
        layer->allocate_rows();
        if (below) layer->read_from(*below);
        run.make_team();
        for (auto& member : run.team) {
            member.bind(0);
            for (int phase : {0, 1}) {
                member.at(phase);
                layer->operands[phase].push_back(member.operands);
            }
            for (std::size_t i = 0; i < run.plan.operands.size(); ++i) {  // what does not outlive the step lies once
                if (run.plan.operands[i].place != Place::work) continue;
                layer->operands[1].back()[i].base = layer->operands[0].back()[i].base;
            }
        }
        below = layer.get();
    }
    matrices_ = Memory(bytes_ < HUGE_FROM ? bytes_ : std::max(bytes_, HUGE_PAGE));
    Recorder recorder(*this);
    recorder.record(0);
    recorder.record(1);
    for (const auto& layer : layers_) layer->packed.matrices = Memory();
}

// Unrolls a step. In every other one the panels come in reverse: the matrices that were read last, which are
// still in the cache, are then the first.
template <class T>
struct Stepper<T>::Recorder {
    using Run = typename Engine<T>::Run;
    using Member = typename Run::Member;
    using Product_ = typename Engine<T>::Product_;

    Stepper& stepper;
    int phase = 0;
    std::map<const T*, T*> moved;  // where a group of a product was packed, where it lies now
    T* next;

    explicit Recorder(Stepper& stepper_) : stepper(stepper_), next(stepper_.matrices_.template as<T>()) {}

    void record(int phase_) {
        phase = phase_;
        begin_segment();
        for (const auto& layer : stepper.layers_) {
            if (layer.get() != stepper.layers_.front().get()) meet();
            hoisted(*layer);
            for (std::size_t i = 0; i < layer->run->plan.stages.size(); ++i) {
                if (i) meet();
                stage(*layer, static_cast<int>(i));
            }
        }
    }

    std::vector<Segment>& segments() { return stepper.segments_[phase]; }
    void begin_segment() { segments().emplace_back(stepper.members_); }
    void meet() {
        if (stepper.members_ > 1) begin_segment();
    }
    const Bound<T>* operands_of(const Layer& layer, const Member& member) const {
        return layer.operands[phase][member.id].data();
    }
    void act(const Member& member, typename Action::Kind kind, const void* of) {
        segments().back()[member.id].push_back({kind, of});
    }

    void hoisted(Layer& layer) {
        const Run& run = *layer.run;
        bool waits = false;
        for (const Product_& product : layer.engine.hoisted_) {
            waits = waits || (!run.plan.stages.empty() && product.width != run.plan.stages[0].width);
            for (Member& member : layer.run->team) {
                const Share mine = member.panels_of(product.width);
                products(member, product, operands_of(layer, member), 0, run.R, mine.first, mine.last);
            }
        }
        // A product that reads slots needs those of all members.
        for (const auto& stage : layer.engine.stage_products_) {
            for (const Product_& product : stage) waits = waits || !product.from_rows;
        }
        if (waits) meet();
    }

    void products(Member& member, const Product_& product, const Bound<T>* operands, int row, int rows, int panel,
                  int last) {
        if (panel >= last) return;
        const int begin = panel / product.per_call, end = ceil_div(last, product.per_call);
        for (int i = begin; i < end; ++i) {
            const int group = phase ? begin + end - 1 - i : i;
            const auto& kernels = member.run.engine.kernels_;
            Call_ model;
            member.prepare(product, operands, group, model.ready);
            const int outputs = model.ready.outputs, parts = ceil_div(rows, kernels.best_rows[outputs]);
            for (int part = 0; part < parts; ++part) {
                const Share share(rows, part, parts);
                Call_& call = stepper.recorded_->calls.emplace_back();
                member.prepare(product, operands, group, call.ready);
                call.ready.call.b = in_order(call.ready.call.b, product.group_size);
                call.ready.call.a += (row + share.first) * call.ready.call.a_row;
                call.ready.call.c += (row + share.first) * call.ready.call.c_row;
                call.kernel = kernels.product[share.last - share.first][outputs];
                act(member, Action::Kind::product, &call);
            }
        }
    }

    const T* in_order(const T* packed, std::size_t size) {
        auto [found, is_new] = moved.try_emplace(packed, next);
        if (is_new) {
            std::memcpy(next, packed, size * sizeof(T));
            next += size;
        }
        return found->second;
    }

    void tile(Member& member, const std::vector<Instruction>& code, const Bound<T>* operands, int width, int row,
              int rows, int panel, int panels) {
        if (code.empty() || rows < 1) return;
        act(member, Action::Kind::tile,
            &stepper.recorded_->tiles.emplace_back(member.tile_of(code, operands, width, row, rows, panel, panels)));
    }

    void stage(Layer& layer, int index) {
        const Run& run = *layer.run;
        const Stage& stage = run.plan.stages[index];
        for (Member& member : layer.run->team) {
            const Bound<T>* operands = operands_of(layer, member);
            if (!stage.reductions.empty()) operands = with_partial_sums(member, stage, operands);
            const Share mine = member.panels_of(stage.width);
            const int tiles = ceil_div(mine.last - mine.first, run.tile_panels);
            for (int i = 0; i < tiles; ++i) {
                const int panel = mine.first + (phase ? tiles - 1 - i : i) * run.tile_panels;
                const int panels = std::min(run.tile_panels, mine.last - panel);
                for (int row = 0; row < run.R; row += run.tile_rows) {
                    const int rows = std::min(run.tile_rows, run.R - row);
                    for (const Product_& product : layer.engine.stage_products_[index]) {
                        products(member, product, operands, row, rows, panel, panel + panels);
                    }
                    tile(member, stage.code, operands, stage.width, row, rows, panel, panels);
                }
            }
        }
        if (stage.reductions.empty() && stage.row_code.empty()) return;
        meet();
        for (Member& member : layer.run->team) finish_rows(layer, member, stage);
    }

    // Where the members' partial sums of a reduction of this layer are.
    static T* partial_sums(const Run& run, int member, std::size_t reduction) {
        return run.partial_sums.template as<T>() +
               (static_cast<std::ptrdiff_t>(reduction) * run.members + member) * run.R * PANEL;
    }

    const Bound<T>* with_partial_sums(Member& member, const Stage& stage, const Bound<T>* operands) {
        auto& own = stepper.recorded_->bounds.emplace_back(operands, operands + member.run.plan.operands.size());
        for (std::size_t i = 0; i < stage.reductions.size(); ++i) {
            T* const part = partial_sums(member.run, member.id, i);
            own[stage.reductions[i].first] = {part, PANEL, 0, PANEL, 0};
            act(member, Action::Kind::clear,
                &stepper.recorded_->sums.emplace_back(Sum{nullptr, 0, part, 1, 0, 0, member.run.R, T(0)}));
        }
        return own.data();
    }

    void finish_rows(const Layer& layer, Member& member, const Stage& stage) {
        const Run& run = *layer.run;
        const Share mine(run.R, member.id, run.members);
        if (mine.first >= mine.last) return;
        for (std::size_t i = 0; i < stage.reductions.size(); ++i) {
            const auto [number, mean] = stage.reductions[i];
            const Bound<T>& place = operands_of(layer, member)[number];
            const T scale = mean ? T(1) / static_cast<T>(layer.engine.units(stage.width)) : T(1);
            act(member, Action::Kind::sum,
                &stepper.recorded_->sums.emplace_back(Sum{place.base, place.row, partial_sums(run, 0, i),
                                                run.members, run.R, mine.first, mine.last, scale}));
        }
        for (int row = mine.first; row < mine.last; row += run.tile_rows) {
            tile(member, stage.row_code, operands_of(layer, member), 0, row, std::min(run.tile_rows, mine.last - row), 0, 1);
        }
    }
};

template <class T>
void Stepper<T>::make(const std::vector<Action>& actions) const {
    const auto tile = layers_[0]->engine.kernels_.tile;
    for (const Action& action : actions) {
        switch (action.kind) {
            case Action::Kind::product: {
                const auto* call = static_cast<const Call_*>(action.of);
                call->kernel(call->ready.call);
                break;
            }
            case Action::Kind::tile:
                tile(*static_cast<const Tile<T>*>(action.of));
                break;
            case Action::Kind::clear: {
                const auto* sum = static_cast<const Sum*>(action.of);
                std::fill_n(sum->parts + sum->first * PANEL, (sum->last - sum->first) * PANEL, T(0));
                break;
            }
            case Action::Kind::sum: {
                const auto* sum = static_cast<const Sum*>(action.of);
                for (int r = sum->first; r < sum->last; ++r) {
                    T total = 0;
                    for (int m = 0; m < sum->members; ++m) {
                        total += sum_of_lanes(sum->parts + (m * sum->rows + r) * PANEL);
                    }
                    std::fill_n(sum->place + r * sum->row, PANEL, total * sum->scale);
                }
                break;
            }
        }
    }
}

template <class T>
void Stepper<T>::advance() {
    const std::vector<Segment>& segments = segments_[phase_];
    const auto all = [&](Crew& crew) {
        for (const Segment& segment : segments) {
            const auto part = [&](int member) { make(segment[member]); };
            if (&segment == &segments.back()) crew.each(part);
            else crew.phase(part);
        }
    };
    if (const auto now = Clock::now(); members_ == 1 || now - last_ > AWAKE) {
        Crew alone(members_);
        all(alone);
    } else {
        parallel(members_, all);
    }
    if (members_ > 1) last_ = Clock::now();
    const Layer& top = *layers_.back();
    const int n = top.units(top.output);
    for (int b = 0; b < batch_; ++b) std::copy_n(top.now(top.output, phase_, b), n, output_ + std::ptrdiff_t{b} * n);
    phase_ = 1 - phase_;
}

template <class T>
void Stepper<T>::step(const T* x) {
    const Layer& first = *layers_.front();
    const int n = first.units(first.x);
    for (int b = 0; b < batch_; ++b) std::copy_n(x + std::ptrdiff_t{b} * n, n, first.now(first.x, phase_, b));
    advance();
}

template <class T>
void Stepper<T>::step_rows(const std::int64_t* numbers) {
    const Layer& first = *layers_.front();
    const int n = first.units(first.x);
    for (std::size_t k = 0; k < tables_.size(); ++k) {
        for (int b = 0; b < batch_; ++b) {
            const std::int64_t number = numbers[k * batch_ + b], rows = tables_[k].second;
            if (number < 0 || number >= rows) {
                throw std::out_of_range(std::to_string(number) + " is no row of a table of " + std::to_string(rows));
            }
        }
    }
    for (std::size_t k = 0; k < tables_.size(); ++k) {
        for (int b = 0; b < batch_; ++b) {
            const T* const from = tables_[k].first + numbers[k * batch_ + b] * n;
            T* const to = first.now(first.x, phase_, b);
            for (int u = 0; u < n; ++u) to[u] = k ? to[u] + from[u] : from[u];
        }
    }
    advance();
}

template <class T>
void Stepper<T>::read(int layer, int part, T* to) const {
    const Layer& of = *layers_.at(layer);
    const int row = of.states.at(part), n = of.units(row);
    for (int b = 0; b < batch_; ++b) std::copy_n(of.now(row, 1 - phase_, b), n, to + std::ptrdiff_t{b} * n);
}

template <class T>
void Stepper<T>::write(int layer, int part, const T* from) {
    const Layer& of = *layers_.at(layer);
    const int row = of.states.at(part), n = of.units(row);
    for (int b = 0; b < batch_; ++b) std::copy_n(from + std::ptrdiff_t{b} * n, n, of.now(row, 1 - phase_, b));
}

template class Stepper<float>;
template class Stepper<double>;

}  // namespace rondo
