// Products cut to what a micro-kernel takes, and where their packed matrices lie. Internal to the engine.

#pragma once

#include "executor.h"

namespace rondo {

constexpr int FORWARD_TILE_ROWS = 32, BACKWARD_TILE_ROWS = 16;
constexpr int TILE_VECTORS = 64;  // row-panel pairs of a tile: what temporaries are sized for

// Up to four products of one source, over panels of `per_call` units at a time. Packed as
// [panel group][step][panel of the group][output][16].
template <class T>
struct Engine<T>::Product_ {
    int width;                     // of the destinations
    bool from_rows;                // the source is a row buffer, not slots
    std::vector<int> destinations, starts, sources;
    std::vector<std::vector<BlockRef>> matrices;
    int per_call;                  // panels a call
    int groups;                    // panel groups
    int length, last_length, runs; // see rondo::Product
    int steps;                     // of all runs and sources
    std::size_t offset, group_size;
    int from_stored = 0;           // groups, the first ones, that can be computed on the matrices as they are stored
    std::ptrdiff_t packed_from;    // so many rows of batch and time
    bool half = false;             // packed in bfloat16, two steps side by side
    std::size_t half_offset = 0, half_group_size = 0;

    // Whether a run over so many rows of batch and time reads this group as it is stored.
    bool reads_stored(int group, std::ptrdiff_t run_rows) const { return group < from_stored && run_rows < packed_from; }
    int outputs() const { return per_call * static_cast<int>(destinations.size()); }
    std::ptrdiff_t step_size() const { return static_cast<std::ptrdiff_t>(outputs()) * PANEL; }
};

// Gradients of up to four matrix blocks with one right side, accumulated as [panel][column][block][16].
template <class T>
struct Engine<T>::OuterProduct {
    int right;                     // operand
    std::vector<Left> lefts;
    int width;                     // of the left side
    int columns;
    std::size_t offset, panel_size;
};

inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Pairwise, as wide vectors would add them.
template <class T>
T sum_of_lanes(const T* from) {
    T lanes[PANEL];
    for (int lane = 0; lane < PANEL; ++lane) lanes[lane] = from[lane];
    for (int half = PANEL / 2; half; half /= 2) {
        for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    }
    return lanes[0];
}

// The part of 0 .. n that is member's.
struct Share {
    int first, last;
    Share(int n, int member, int members)
        : first(static_cast<int>(static_cast<std::int64_t>(n) * member / members)),
          last(static_cast<int>(static_cast<std::int64_t>(n) * (member + 1) / members)) {}
};

}  // namespace rondo
