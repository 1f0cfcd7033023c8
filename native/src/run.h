// One run of a plan: its memory, and what each member of the team does. Internal to the engine.

#pragma once

#include <cstring>
#include <mutex>

#include "layout.h"

namespace rondo {

constexpr int MAX_SOURCES = 64;
constexpr int HALF_GAP = 32;  // between rounded rows, against rows that share cache sets

// Zeros where `from` is null.
template <class T>
void copy_rows(T* to, std::ptrdiff_t to_row, const T* from, std::ptrdiff_t from_row, int rows, int n) {
    for (int r = 0; r < rows; ++r) {
        if (from) std::memcpy(to + r * to_row, from + r * from_row, sizeof(T) * n);
        else std::memset(to + r * to_row, 0, sizeof(T) * n);
    }
}

template <class T>
struct Engine<T>::Run {
    // Where a row buffer lies. Entry of step t: base + time * (chunked: t - chunk's first; ring: t % 2; else t).
    struct Rows {
        T* base = nullptr;
        std::ptrdiff_t time = 0, row = 0;
        bool chunked = false, ring = false;
        // Runs in place: the steps are read in the caller's memory, or written here and passed on, step by step.
        bool in_place = false;
        T* out = nullptr;
        std::ptrdiff_t out_time = 0, out_row = 0;
        Memory memory;
    };

    const Engine& engine;
    const Plan& plan;
    const Call<T>& call;
    const Packed& packed;
    const int R, steps;
    const bool backward;
    const bool in_place;  // see Engine::in_place_
    bool past_caches = false;  // what is passed on is more than they hold

    int members = 1;      // of the team at most
    bool few = false;     // backward: see find_few
    bool by_rows = true;  // each member has rows of its own, else panels of its own
    int chunk = 1;        // steps
    int tile_rows, tile_panels;
    std::vector<Rows> rows;
    std::array<T*, WIDTHS> kept{}, work{};
    std::array<Memory, WIDTHS> work_memory;
    Memory temporaries, partial_sums, gradients, accumulated, packed_rights, half_rows;
    std::ptrdiff_t half_rows_size = 0;        // for each member: sources of products in bfloat16
    std::vector<int> rights;                  // operands that are right sides of outer products
    std::vector<std::ptrdiff_t> right_offsets;
    const Gradients<T>* asked = nullptr;      // backward runs
    std::vector<T*> final;                    // forward runs
    Given<T> y;
    int max_reductions = 0;
    std::mutex fresh_mutex;

    Run(const Engine& engine, const Call<T>& call, const Packed& packed, bool backward);

    // A call of a micro-kernel for all rows from 0 on; `call` points to the arrays beside it.
    struct Ready {
        int outputs;
        rondo::Product<T> call;
        std::ptrdiff_t a_source[MAX_SOURCES], b_output[MAX_OUTPUTS], c_output[MAX_OUTPUTS];
    };

    struct Member {
        Run& run;
        const int id, count;
        Barrier& barrier;
        const bool by_rows;
        int first_row, last_row;
        std::vector<Bound<T>> bounds;  // [step of the chunk][operand]
        std::vector<Bound<T>> gradients;
        int rounded = -1, rounded_from = 0;  // the operand that round_source holds, and its first row

        Member(Run& run, int id, int count, Barrier& barrier);

        const Bound<T>* at(int step) const { return bounds.data() + step * run.plan.operands.size(); }
        Bound<T>* at(int step) { return bounds.data() + step * run.plan.operands.size(); }
        // Waits for the others where work is not divided by rows.
        void meet() {
            if (!by_rows) barrier.wait();
        }
        Share panels_of(int width) const;
        int running(int t) const;

        void bind(int begin, int end);
        void prepare(const Product_& product, const Bound<T>* operands, int group, Ready& ready) const;
        void multiply(const Product_& product, const Bound<T>* operands, int row, int rows, int group) const;
        // The same on the matrices as they are stored.
        void multiply_stored(const Product_& product, const Bound<T>* operands, int row, int rows, int group) const;
        // Brings the source of a product in bfloat16 to the form that its kernel reads.
        void round_source(const Product_& product, const Bound<T>* operands, int row, int rows);
        void multiply_half(const Product_& product, const Bound<T>* operands, int row, int rows, int group) const;
        void multiply_chunk(const std::vector<Product_>& products, int begin, int end);
        void stage(int index, int step, int rows_end);
        void finish_reductions(const Stage& stage, Bound<T>* operands, const std::vector<T*>& places, int rows_end);
        Tile<T> tile_of(const std::vector<Instruction>& code, const Bound<T>* operands, int width, int row, int rows,
                        int panel, int panels);
        void run_tile(const std::vector<Instruction>& code, const Bound<T>* operands, int width, int row, int rows,
                      int panel, int panels);
        void scan(int begin, int end);
        void run_fetching(const std::vector<int>& read, int step, bool last, int row, int panel, int panels);
        void pass_on(int t, int row, int panel, int panels) const;
        // The element of an outer array where row r's step t begins; null where the row has nothing to do.
        template <class Element>
        Element* outside(const Given<Element>& array, int t, int r) const;
        void gather(Role role, int begin, int end);
        void scatter(Role role, int begin, int end);
        void forward();
        void backward();
        void events(int t, bool begins);
        void exchange_state(const Lanes::Event& event, const RowBuffer& buffer, T* row, bool begins);
        void exchange_gradient(const Lanes::Event& event, const RowBuffer& buffer, T* row, bool begins);
        void clear_left_out(int begin, int end);
        void pack_rights(int begin, int end);
        void outer_products(int begin, int end, bool first);
        void outer_products_of_few(int steps);
        void unpack_gradients();
    };

    void allocate_rows(Residuals<T>* own, const Residuals<T>* saved);
    bool lies_outside(const RowBuffer& buffer, Rows& place, Residuals<T>* own);
    std::vector<int> read_in_place() const;
    void allocate_work();
    void divide();
    void find_few();
    template <class Work>
    void team(const Work& work);
    bool has_row(int operand_row) const { return rows[operand_row].base != nullptr; }
};

template <class T>
template <class Work>
void Engine<T>::Run::team(const Work& work) {
    std::unique_ptr<Barrier> barrier;
    std::mutex mutex;
    // The team that comes may be smaller than asked for; all of its members report the same size.
    parallel(members, [&](int id, int count) {
        {
            const std::lock_guard lock(mutex);
            if (!barrier) barrier = std::make_unique<Barrier>(count);
        }
        work(id, count, *barrier);
    });
}

template <class T>
std::ptrdiff_t slots_size(const Engine<T>& engine, int width, int slots) {
    return static_cast<std::ptrdiff_t>(engine.panels(width)) * slots * PANEL;
}

}  // namespace rondo
