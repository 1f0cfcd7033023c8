// One step at a time: a stack of layers, and a dense layer on top, with their memory and weights kept between
// the steps. A step is unrolled once into calls of kernels with all their addresses; then it is only made.

#pragma once

#include <chrono>

#include "executor.h"

namespace rondo {

template <class T>
class Stepper {
public:
    // For so many sequences, which advance together, on a team of at most `threads`.
    Stepper(int batch, int threads);
    ~Stepper();
    Stepper(const Stepper&) = delete;
    Stepper& operator=(const Stepper&) = delete;

    // The next layer, from the input to the output: a plan that keeps nothing for a backward run, or a dense
    // layer, a plan of products of x with a row buffer alone. The engine must live as long as the stepper.
    void add(const Engine<T>& engine, const std::vector<const T*>& parameters);
    // Rows that are added up to make x where it is given as their numbers. Read at each step: must stay.
    void add_table(const T* table, std::int64_t rows);
    // After the last layer. `output`, (B, units) without gaps, is written by each step.
    void finish(T* output);

    // x: (B, units) without gaps.
    void step(const T* x);
    // (tables, B): the number of a row of each table. Throws std::out_of_range, and has then done nothing.
    void step_rows(const std::int64_t* numbers);

    // A part of the state, (B, units) without gaps. Zeros at first.
    void read(int layer, int part, T* to) const;
    void write(int layer, int part, const T* from);

    // The bytes that a step reads, in weights: what says how long it takes.
    std::size_t bytes() const { return bytes_; }

private:
    struct Layer;
    struct Recorder;
    struct Call_;
    struct Sum;
    struct Recorded;
    using Clock = std::chrono::steady_clock;

    // What a member does between two points at which it waits for the others.
    struct Action {
        enum class Kind { product, tile, clear, sum } kind;
        const void* of;
    };
    using Segment = std::vector<std::vector<Action>>;  // [member]

    void divide();
    void advance();
    void make(const std::vector<Action>& actions) const;

    const int batch_, threads_;
    int members_ = 1;
    int phase_ = 0;  // states alternate between two entries: which of them is the present one
    std::size_t bytes_ = 0;
    std::vector<std::unique_ptr<Layer>> layers_;
    std::vector<std::pair<const T*, std::int64_t>> tables_;
    std::vector<Segment> segments_[2];    // by phase
    std::unique_ptr<Recorded> recorded_;  // what the actions point to
    Memory matrices_;                     // in the order in which a step reads them
    T* output_ = nullptr;
    Clock::time_point last_{};
};

}  // namespace rondo
