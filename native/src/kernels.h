// What the engine asks of an instruction set: the contract between `executor` and the kernels.
//
// Everything in here is compiled once for each instruction set (kernels_avx512.cpp, kernels_avx2.cpp,
// kernels_generic.cpp), in a namespace of its own, and reached through a table of function pointers. Those
// files use no inline code of the standard library: a weak symbol compiled for AVX-512 could otherwise be
// picked by the linker for a machine without it.
//
// Units are grouped in panels of 16 for every type and instruction set. The lanes of the last panel beyond
// the number of units are there in every slot and temporary, and may hold anything, NaN included.
//
// What holds for every argument unless it says otherwise: a kernel writes what is called written and nothing
// else, reads no further than it says, and keeps no address, so that all it is given need live no longer than
// the call. Nothing is aligned for certain. What is only read may overlap; what is written overlaps nothing
// else that the call reads or writes. Strides count elements, and may be negative. Of calls on several threads
// at once none writes what another one reads or writes.

#pragma once

#include <cstddef>
#include <cstdint>

namespace rondo {

constexpr int PANEL = 16;
constexpr int MAX_OUTPUTS = 4;  // products of one call of a micro-kernel
constexpr int MAX_ROWS = 14;    // rows of one call of a micro-kernel
constexpr int DOT_ROWS = 4;     // rows of one call of `dots` at most

// rondo.backends.cpu.plan.Code, in the same order.
enum class Code : std::int32_t {
    copy, add, sub, mul, div, neg, maximum, minimum, sigmoid, tanh, relu, exp, log, softplus, silu, sqrt,
    fma, fms, fnma, mul_sigmoid, mul_tanh, sigmoid_gradient, tanh_gradient, select_lt, select_le,
    share, mul_complement, reduce, sum_rows, count
};

struct Instruction {
    Code code;
    std::int32_t dst;         // written: the number of an operand, for sum_rows that of a gradient
    std::int32_t a, b, c, d;  // read: numbers of operands; unused ones are as a
};

// An operand at one time step. Element (row r, panel j, lane l) of a tile that begins at row r0 and panel j0
// is base[r0 * tile_row + j0 * tile_panel + r * row + j * panel + l]. A constant has all strides 0 and 16
// equal lanes at base; a vector has row = tile_row = 0; a value of width one has panel = tile_panel = 0; a
// temporary has tile_row = tile_panel = 0.
//
// An instruction reads and writes whole vectors of 16 lanes, those beyond the number of units too. Its dst may
// be one of its sources, by the same number; an operand of another number never overlaps what it writes. A
// vector, a constant and what a caller gave to be read are never a dst.
template <class T>
struct Bound {
    T* base;  // read, and written where the operand is a dst
    std::ptrdiff_t row, panel, tile_row, tile_panel;
};

// One tile of a program: its instructions in order, each over the whole tile, so that each sees what those
// before it wrote. The arrays below are the caller's and only read; it may make the same call again (Stepper).
//
// Two codes add to what is there. The dst of reduce, of width one, takes the sums over the units, lane by lane:
// the executor clears it before the stage and adds up its lanes behind it. A gradient takes the sums over the rows
// of the tile: the executor clears it at the beginning of the run; every member has gradients of its own.
template <class T>
struct Tile {
    const Instruction* code;    // [instructions]
    int instructions;
    const Bound<T>* operands;   // by number; which are written is up to the code
    Bound<T>* gradients;        // by number: destinations of sum_rows, vectors; not looked at without it
    int row, rows;              // first row and number of rows, at least 1
    int panel, panels;          // first panel and number of panels, at least 1
    int last_panel;             // the panel (counted as `panel` is) that has only `last_lanes` units; others have 16
    int last_lanes;
};

// C[r][g] = start[g] + sum over p < runs, s < sources, k < length of A(r, p, s, k) * B(p, s, k, g)
//
//   A(r, p, s, k)   a[r * a_row + p * a_run + a_source[s] + k * a_step]; the last run has `last_length` steps
//   B(p, s, k, g)   16 lanes at b + b_output[g] + n * b_step, where n counts all steps of all runs and
//                   sources, p slowest; a shorter last run leaves the missing steps out of the count too
//   C(r, g)         16 lanes at c + r * c_row + c_output[g]
//   start[g]        ZERO, ACCUMULATE onto C, or 16 lanes at start_vector[g]
//
// Rows r and outputs g are as many as the place in the table says. A, B and start vectors are read: A and B no step
// beyond those counted, nothing at all where there are none. C is written, all 16 lanes, and read where it
// accumulates; no two of its (r, g) overlap.
enum class Start : std::int32_t { zero, accumulate, vector };

template <class T>
struct Product {
    const T* a;                          // what earlier stages wrote, packed right sides, or the caller's x
    std::ptrdiff_t a_row, a_run, a_step;
    const std::ptrdiff_t* a_source;      // [sources]
    int runs, sources;                   // at least 1
    int length, last_length;             // at least 0; the last run has no more than the others
    const T* b;                          // a matrix, packed or as it is stored; slots or a row buffer
    std::ptrdiff_t b_step;
    const std::ptrdiff_t* b_output;      // [outputs]
    T* c;                                // slots, a row buffer, or sums or gradients of matrices
    std::ptrdiff_t c_row;
    const std::ptrdiff_t* c_output;      // [outputs]
    Start start[MAX_OUTPUTS];            // [outputs]
    const T* start_vector[MAX_OUTPUTS];  // [outputs]: of packed vectors; not looked at for the other starts
};

// C(r, l) = start + sum over k < length of A(r, k) * B(l, k), for the 16 lanes l of a panel.
//
//   A(r, k)   a[r * a_row + k]
//   B(l, k)   b[l * b_row + k]
//   C(r, l)   c[r * c_row + l]
//   start     ZERO, ACCUMULATE onto C, or 16 lanes at start_vector
//
// Rows r are as many as the place in the table says. A, B and the start vector are read, no element beyond `length`;
// C is written, and read where it accumulates; no two of its rows overlap.
template <class T>
struct Dots {
    const T* a;             // a row buffer
    std::ptrdiff_t a_row;
    const T* b;             // 16 rows of a matrix as it is stored
    std::ptrdiff_t b_row;
    int length;             // at least 0
    T* c;                   // slots or a row buffer
    std::ptrdiff_t c_row;
    Start start;
    const T* start_vector;  // of packed vectors; not looked at for the other starts
};

// One for each type and instruction set, made when compiled; it lives as long as the process.
template <class T>
struct Kernels {
    const char* name;
    // How many rows a call of the micro-kernel for so many outputs takes at best; index 0 is unused.
    int best_rows[MAX_OUTPUTS + 1];
    // By rows (1 to best_rows) and outputs; null elsewhere.
    void (*product[MAX_ROWS + 1][MAX_OUTPUTS + 1])(const Product<T>&);
    // By rows (1 to DOT_ROWS).
    void (*dots[DOT_ROWS + 1])(const Dots<T>&);
    void (*tile)(const Tile<T>&);
    // dst[k * step + lane] = src[lane * row + k] for k < columns, lane < rows (1 to 16); other lanes 0. Reads those
    // elements of src alone, writes 16 lanes each step (step >= 16). src is a parameter, dst part of `Packed`.
    void (*pack_rows)(const T* src, std::ptrdiff_t row, int rows, int columns, T* dst, std::ptrdiff_t step);
    // dst[k * step + lane] = src[k * row + lane] for k < rows, lane < columns (1 to 16); other lanes 0. As above.
    void (*pack_columns)(const T* src, std::ptrdiff_t row, int rows, int columns, T* dst, std::ptrdiff_t step);
    // dst[i] = src[i] for i < n, past the caches where the machine can and dst is aligned to 64 bytes. Other
    // threads see it after a fence. src is what a step has just made, dst where that of all steps belongs.
    void (*put)(const T* src, T* dst, std::ptrdiff_t n);
    // dst[lane * row + k] = src[k * step + lane] for k < columns, lane < rows (1 to 16): pack_rows undone. Reads up
    // to 16 lanes of each step, writes nothing else of dst. src are sums of outer products, dst a gradient.
    void (*unpack_rows)(const T* src, std::ptrdiff_t step, int rows, int columns, T* dst, std::ptrdiff_t row);
    // The elementwise functions by themselves, for tests of their error; n is any number. dst may be a. A code of
    // several sources does nothing.
    void (*apply)(Code code, const T* a, T* dst, std::ptrdiff_t n);
    // Multiply-adds in registers alone for so many rounds; returns the number of floating-point operations.
    double (*peak)(std::ptrdiff_t rounds);
};

// nullptr where the machine cannot run it or it was not compiled in.
template <class T>
const Kernels<T>* kernels_avx512();
template <class T>
const Kernels<T>* kernels_avx2();
template <class T>
const Kernels<T>* kernels_generic();

}  // namespace rondo
