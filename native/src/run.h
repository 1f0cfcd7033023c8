// One run of a plan: its memory, and what each member of the team does. Internal to the engine.

#pragma once

#include <algorithm>
#include <cstring>
#include <deque>

#include "layout.h"

namespace rondo {

constexpr int MAX_SOURCES = 64;
constexpr int ROWS_EACH = 8;  // rows for each member, where rows are divided
constexpr int FEW_ROWS = 64;  // of batch and time: see find_few
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
        // Read in the caller's memory; or in runs in place, written here and passed on, step by step.
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
    const bool ragged_rows;    // products over a chunk leave out the rows that are behind their last step
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
    // By part, of all members but the first: [member][sequence][unit], added up in the end, as a sequence's pieces may
    // be in rows of several.
    std::vector<Memory> fresh_sums;

    Run(const Engine& engine, const Call<T>& call, const Packed& packed, bool backward);

    // A call of a micro-kernel for all rows from 0 on; `call` points to the arrays beside it, so it stays where it is.
    struct Ready {
        int outputs;
        rondo::Product<T> call;
        std::ptrdiff_t a_source[MAX_SOURCES], b_output[MAX_OUTPUTS], c_output[MAX_OUTPUTS];
    };

    // One of those between whom the run is divided: its rows or panels, and the operands of the step that it is at.
    struct alignas(64) Member {
        // An operand that lies elsewhere at each step.
        struct Moving {
            int operand;
            T* base;
            std::ptrdiff_t time;
            int first;  // entry of step 0
            bool ring;
        };

        Run& run;
        const int id;
        const bool by_rows;
        int first_row, last_row;
        std::vector<Bound<T>> operands;
        std::vector<Moving> moving;
        int step = -1;  // where `operands` are
        std::vector<Bound<T>> gradients;
        std::vector<Ready> ready;            // products of a stage on the panels of a tile
        std::vector<T*> places;              // of a stage's reductions, while partial sums lie elsewhere
        int rounded = -1, rounded_from = 0;  // the operand that round_source holds, and its first row

        Member(Run& run, int id);

        // The operands at a step of the chunk that was bound.
        Bound<T>* at(int step);
        Share panels_of(int width) const;
        int running(int t) const;
        // How many of the member's rows products over a chunk take at this step.
        int rows_of(int t) const { return std::max(0, (run.ragged_rows ? running(t) : last_row) - first_row); }

        // For a chunk that begins at this step.
        void bind(int begin);
        void prepare(const Product_& product, const Bound<T>* operands, int group, Ready& ready) const;
        void multiply(const Product_& product, const Bound<T>* operands, int row, int rows, int group) const;
        void multiply(const Ready& ready, int row, int rows) const;
        // Fills `ready`, in the order of products and groups, with those that are read packed and as they are.
        void prepare_tile(const std::vector<Product_>& products, const Bound<T>* operands, int panel, int panels);
        // The same on the matrices as they are stored.
        void multiply_stored(const Product_& product, const Bound<T>* operands, int row, int rows, int group) const;
        // Brings the source of a product in bfloat16 to the form that its kernel reads.
        void round_source(const Product_& product, const Bound<T>* operands, int row, int rows);
        void multiply_half(const Product_& product, const Bound<T>* operands, int row, int rows, int group) const;
        void multiply_chunk(const std::vector<Product_>& products, int begin, int end);
        void stage(int index, int step, int rows_end);
        // After all have done their part of the stage.
        void finish_stage(int index, int step, int rows_end);
        Tile<T> tile_of(const std::vector<Instruction>& code, const Bound<T>* operands, int width, int row, int rows,
                        int panel, int panels);
        void run_tile(const std::vector<Instruction>& code, const Bound<T>* operands, int width, int row, int rows,
                      int panel, int panels);
        void scan(int begin, int end);
        // An operand whose steps come from memory one after the other, `time` apart in the order of the run.
        struct Stream {
            int operand;
            std::ptrdiff_t time;
        };
        std::vector<Stream> streams() const;
        void run_fetching(const std::vector<Stream>& streams, int step, bool last, int row, int rows, int panel,
                          int panels);
        void pass_on(int t, int row, int panel, int panels) const;
        // The element of an outer array where row r's step t begins; null where the row has nothing to do.
        template <class Element>
        Element* outside(const Given<Element>& array, int t, int r) const;
        // Goes through steps of the chunk and the member's rows in the order in which they lie in an outer array, as
        // memory is read ahead along them.
        template <class Element, class Work>
        void each_as_it_lies(int begin, const Share& steps, const Given<Element>& array, const Work& work) const {
            if (!run.call.lanes && array.time < array.batch) {
                for (int r = first_row; r < last_row; ++r)
                    for (int step = steps.first; step < steps.last; ++step) work(step, r);
                return;
            }
            for (int step = steps.first; step < steps.last; ++step) {
                const int last = first_row + rows_of(begin + step);
                for (int r = first_row; r < last; ++r) work(step, r);
            }
        }
        void gather(Role role, int begin, int end);
        void scatter(Role role, int begin, int end);
        // Of sequences that begin before, or end after, step t.
        void exchange(int t, bool begins);
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
    bool stays_outside(std::size_t number, Rows& place) const;
    void allocate_work();
    void divide();
    void find_few();
    void clear_behind() const;
    void clear_fresh_sums();
    void add_fresh_sums() const;

    // What the members do, in phases: each ends when all have done their part. A member whose rows are its own needs
    // nobody, and goes through all phases by itself.
    struct Alone {
        Member& member;
        template <class Work>
        void each(const Work& work) const {
            work(member);
        }
        template <class Work>
        void phase(const Work& work) const {
            work(member);
        }
    };
    struct Together {
        std::deque<Member>& team;
        Crew& crew;
        template <class Work>
        void each(const Work& work) const {
            crew.each([&](int id) { work(team[id]); });
        }
        template <class Work>
        void phase(const Work& work) const {
            crew.phase([&](int id) { work(team[id]); });
        }
    };
    std::deque<Member> team;

    void make_team();
    void forwards(Crew& crew);
    void backwards(Crew& crew);
    template <class Members>
    void forward_chunks(const Members& members);
    template <class Members>
    void backward_chunk(const Members& members, int begin, int end);
    template <class Members>
    void do_stages(const Members& members, int t, int step);
    template <class Members>
    void exchange(const Members& members, int t, bool begins);
    int chunk_before(int end) const { return (end - 1) / chunk * chunk; }
};

template <class T>
std::ptrdiff_t slots_size(const Engine<T>& engine, int width, int slots) {
    return static_cast<std::ptrdiff_t>(engine.panels(width)) * slots * PANEL;
}

template <class T>
template <class Members>
void Engine<T>::Run::do_stages(const Members& members, int t, int step) {
    for (std::size_t i = 0; i < plan.stages.size(); ++i) {
        const int index = static_cast<int>(i);
        members.phase([&](Member& member) { member.stage(index, step, member.running(t)); });
        if (plan.stages[i].reductions.empty() && plan.stages[i].row_code.empty()) continue;
        members.phase([&](Member& member) { member.finish_stage(index, step, member.running(t)); });
    }
}

template <class T>
template <class Members>
void Engine<T>::Run::exchange(const Members& members, int t, bool begins) {
    if ((begins ? call.lanes->begins : call.lanes->ends)[t].empty()) return;
    members.phase([&](Member& member) { member.exchange(t, begins); });
}

}  // namespace rondo
