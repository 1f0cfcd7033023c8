// Runs plans over time: the loops around the kernels, for any cell. See docs/dev/engine.md.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bfloat16.h"
#include "kernels.h"
#include "memory.h"
#include "plan.h"
#include "threads.h"

namespace rondo {

// What holds for every array of a caller unless it says otherwise: it lives until the call returns, and nothing is
// aligned for certain. What is read may overlap, and have strides of 0. What is written needs no content before, and
// overlaps nothing else that the call reads or writes.

// An array from outside: element (b, t, u) is data[b * batch + t * time + u]. Read where T is const, else written.
template <class T>
struct Given {
    T* data = nullptr;
    std::ptrdiff_t batch = 0, time = 0;
};

// Which sequence stands in which row at which step, where sequences are of different lengths or begin anew
// inside: several may share a row, end to end. Rows are ordered so that those still running are the first.
struct Lanes {
    int rows = 0, steps = 0;
    std::vector<int> lengths;  // of the sequences
    struct Place {
        int sequence = -1, step = 0;  // -1: behind the row's last
    };
    std::vector<Place> place;  // [step][row]
    std::vector<int> running;  // [step]: how many rows, the first ones, have something to do
    struct Event {
        int row;
        int sequence;
        bool fresh;  // from or to the state of a beginning, not the state that was given
    };
    std::vector<std::vector<Event>> begins;  // [step]: the state is replaced before this step
    std::vector<std::vector<Event>> ends;    // [step]: the state after this step is a sequence's last
};

// Lengths (B), each 0 to T, or none; cuts (B, T): a sequence begins anew at this step, or none.
std::shared_ptr<const Lanes> make_lanes(int B, int T, const std::int64_t* lengths, const std::uint8_t* cuts,
                                        bool reverse);

// What a plan is run on: read alone. Arrays of the state are by part, (B, units) row after row without gaps. A backward
// run has x, masks and lanes as its forward run had them, and no states.
template <class T>
struct Call {
    int B = 0, T_ = 0;
    bool reverse = false;            // time backwards; with lanes that is in their places already
    bool by_sequence = false;        // all states of a row lie side by side, not all rows of a step
    std::shared_ptr<const Lanes> lanes;
    std::vector<Given<const T>> x;   // (B, T, units): one, or where the plan has several inputs, all of them
    std::vector<Given<const T>> masks;  // (B, T, units), or (B, units) with time = 0
    std::vector<const T*> given;     // the state at the beginning; nullptr: zeros
    std::vector<const T*> fresh;     // the state after a reset; nullptr: zeros

    int rows() const { return lanes ? lanes->rows : B; }
    int steps() const { return lanes ? lanes->steps : T_; }
};

// The states of all steps: row r of entry e (the state before step e; e = T is the last) begins at
// first + e * step + r * row, and has all lanes of its panels. Entries and rows do not overlap. Written by the forward
// run, entry 0 too; read by both runs. Where sequences begin and end inside a row, an entry may be the next one's.
template <class T>
struct States {
    T* first = nullptr;
    std::ptrdiff_t step = 0, row = 0;
    int entries = 0;  // T + 1, or 2 where only the last is kept: entry e is then the one of e % 2
};

// What a forward run leaves for a backward run, which reads it and may be repeated: all of it lives until then. Where
// pointers are null before the forward run, it takes memory of its own, that of `own`; others are those of
// `Engine::place`, in memory of the caller's.
template <class T>
struct Residuals {
    std::vector<States<T>> states;    // by part
    std::array<T*, WIDTHS> kept{};    // by width: [panel][step][row][slot][16], what the plan calls KEPT
    std::vector<Memory> own;
};

// What a backward run is given, and what it gives.
template <class T>
struct Gradients {
    Given<const T> dy;               // (B, T, units) of the outputs: read where the plan has it
    std::vector<const T*> dfinal;    // by part: (B, units), read: of the state at the end; nullptr: zeros
    std::vector<Given<T>> dx;        // by input: (B, T, units), written where the plan gives it, in steps that are run
    std::vector<T*> dgiven, dfresh;  // by part: (B, units), written; nullptr: not wanted
    std::vector<T*> dparameters;     // written, each as its parameter lies, without gaps; nullptr: not wanted
    // For runs over segments of time, from the last segment to the first: the sums of the outer products, of
    // `Engine::sums_size` elements, go on from run to run, and with the last run into `dparameters`, which are the same
    // for all, and complete with the last. The first run needs no content in either. Null: the run is all there is.
    T* sums = nullptr;
    bool first = true, last = true;  // of the runs; the last one has steps
};

// Parameters laid out for the kernels of one engine. Written by `Engine::pack`, read by any number of runs.
struct Packed {
    Memory matrices, vectors;
    Memory halves;  // matrices in bfloat16
    std::vector<const void*> stored;  // the caller's parameters: where there are few rows, products read them there
    std::ptrdiff_t rows = 0;          // of batch and time, of the run
};

template <class T>
class Stepper;

// A plan with its sizes: products cut to the kernels, layouts of memory. It does not change, so it may be
// used by several threads at once.
template <class T>
class Engine {
public:
    // `bfloat16`: products with row buffers are computed in it (inference in float32, where the machine can).
    Engine(const Plan& plan, const Sizes& sizes, const Kernels<T>& kernels, int threads, bool bfloat16 = false);
    ~Engine();

    // For a run over so many rows of batch and time. Few rows are done before matrices are packed, so parameters must
    // live as long as what is returned.
    Packed pack(const std::vector<const T*>& parameters, std::ptrdiff_t rows) const;

    // Residuals in memory of the caller's: the states of the first part at `outputs`, lowest entry first (the
    // last one in time where the call is reversed), all else one after the other at `rest`: of each part entries
    // times rows times `padded` elements, then the kept blocks. Either may be null. Nothing is read or written yet.
    // `all_steps` by part: whether all states are kept, or the last alone.
    Residuals<T> place(const Call<T>& call, const std::vector<bool>& all_steps, T* outputs, T* rest) const;

    // `final` by part: (B, units), written. `y`, where given, receives the outputs of each sequence's steps, and zeros
    // behind them. `residuals` as `place` made them, `packed` as `pack` of this engine did.
    void run_forward(const Call<T>& call, const std::vector<T*>& final, Given<T> y, const Packed& packed,
                     Residuals<T>& residuals) const;
    void run_backward(const Call<T>& call, const Packed& packed, const Residuals<T>& residuals,
                      const Gradients<T>& gradients) const;

    std::ptrdiff_t sums_size() const { return static_cast<std::ptrdiff_t>(accumulated_size_ + PANEL); }
    int panels(int width) const;
    int padded(int width) const { return panels(width) * PANEL; }
    int units(int width) const { return sizes_[width]; }
    const Plan& plan() const { return plan_; }

private:
    friend class Stepper<T>;
    struct Product_;
    struct OuterProduct;
    struct Run;

    void cut(const Group& group, std::vector<Product_>& into);
    void pack_product(const Product_& product, int panel_group, const std::vector<const T*>& parameters, T* to) const;
    void pack_half(const Product_& product, int panel_group, const Packed& packed) const;
    void pack_vectors(const std::vector<const T*>& parameters, T* to) const;

    const Plan plan_;
    const Sizes sizes_;
    const Kernels<T>& kernels_;
    const int threads_;
    std::vector<std::vector<Product_>> stage_products_;
    std::vector<Product_> hoisted_, after_;
    std::vector<OuterProduct> outers_;
    std::vector<bool> whole_gradients_;  // by parameter: whether outer products write every element of its gradient
    std::size_t packed_size_ = 0, halves_size_ = 0, accumulated_size_ = 0, vectors_size_ = 0;
    std::vector<std::ptrdiff_t> vector_offsets_;
    Memory constants_;
    bool is_scan_ = false;    // no step waits for more than its own units
    bool in_place_ = false;   // and all values are read and written where the caller has them
    std::vector<bool> operand_read_;                     // by instructions
    std::vector<bool> read_by_code_, read_by_products_;  // row buffers, by instructions and by products in order
    const Bfloat16Kernels* halves_ = nullptr;
};

}  // namespace rondo
