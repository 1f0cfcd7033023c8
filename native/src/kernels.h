// What the engine asks of an instruction set: the contract between `executor` and the kernels.
//
// Everything in here is compiled once for each instruction set (kernels_avx512.cpp, kernels_avx2.cpp,
// kernels_generic.cpp), in a namespace of its own, and reached through a table of function pointers. Those
// files use no inline code of the standard library: a weak symbol compiled for AVX-512 could otherwise be
// picked by the linker for a machine without it.
//
// Units are grouped in panels of 16 for every type and instruction set. The lanes of the last panel beyond
// the number of units are there in every slot and temporary, and may hold anything, NaN included.

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
    share, reduce, sum_rows, count
};

struct Instruction {
    Code code;
    std::int32_t dst, a, b, c, d;  // numbers of operands; unused ones are as a
};

// An operand at one time step. Element (row r, panel j, lane l) of a tile that begins at row r0 and panel j0
// is base[r0 * tile_row + j0 * tile_panel + r * row + j * panel + l]. A constant has all strides 0 and 16
// equal lanes at base; a vector has row = tile_row = 0; a value of width one has panel = tile_panel = 0; a
// temporary has tile_row = tile_panel = 0.
template <class T>
struct Bound {
    T* base;
    std::ptrdiff_t row, panel, tile_row, tile_panel;
};

// One tile of a program.
template <class T>
struct Tile {
    const Instruction* code;
    int instructions;
    const Bound<T>* operands;
    Bound<T>* gradients;  // destinations of sum_rows: vectors
    int row, rows;        // first row and number of rows
    int panel, panels;    // first panel and number of panels
    int last_panel;       // the panel (counted as `panel` is) that has only `last_lanes` units; others have 16
    int last_lanes;
};

// C[r][g] = start[g] + sum over p < runs, s < sources, k < length of A(r, p, s, k) * B(p, s, k, g)
//
//   A(r, p, s, k)   a[r * a_row + p * a_run + a_source[s] + k * a_step]; the last run has `last_length` steps
//   B(p, s, k, g)   16 lanes at b + b_output[g] + n * b_step, where n counts all steps of all runs and
//                   sources, p slowest; a shorter last run leaves the missing steps out of the count too
//   C(r, g)         16 lanes at c + r * c_row + c_output[g]
//   start           ZERO, ACCUMULATE onto C, or 16 lanes at start[g]
//
// C never overlaps A or B. Nothing is aligned for certain. No step beyond those counted is read.
enum class Start : std::int32_t { zero, accumulate, vector };

template <class T>
struct Product {
    const T* a;
    std::ptrdiff_t a_row, a_run, a_step;
    const std::ptrdiff_t* a_source;
    int runs, sources, length, last_length;
    const T* b;
    std::ptrdiff_t b_step;
    const std::ptrdiff_t* b_output;
    T* c;
    std::ptrdiff_t c_row;
    const std::ptrdiff_t* c_output;
    Start start[MAX_OUTPUTS];
    const T* start_vector[MAX_OUTPUTS];
};

// C(r, l) = start + sum over k < length of A(r, k) * B(l, k), for the 16 lanes l of a panel.
//
//   A(r, k)   a[r * a_row + k]
//   B(l, k)   b[l * b_row + k]
//   C(r, l)   c[r * c_row + l]
//   start     ZERO, ACCUMULATE onto C, or 16 lanes at start_vector
//
// C never overlaps A or B. Nothing is aligned for certain. No element beyond `length` is read.
template <class T>
struct Dots {
    const T* a;
    std::ptrdiff_t a_row;
    const T* b;
    std::ptrdiff_t b_row;
    int length;
    T* c;
    std::ptrdiff_t c_row;
    Start start;
    const T* start_vector;
};

template <class T>
struct Kernels {
    const char* name;
    // How many rows a call of the micro-kernel for so many outputs takes at best; index 0 is unused.
    int best_rows[MAX_OUTPUTS + 1];
    // By rows (1 to best_rows) and outputs.
    void (*product[MAX_ROWS + 1][MAX_OUTPUTS + 1])(const Product<T>&);
    // By rows (1 to DOT_ROWS).
    void (*dots[DOT_ROWS + 1])(const Dots<T>&);
    void (*tile)(const Tile<T>&);
    // dst[k * step + lane] = src[lane * row + k] for k < columns, lane < rows (at most 16); other lanes 0.
    void (*pack_rows)(const T* src, std::ptrdiff_t row, int rows, int columns, T* dst, std::ptrdiff_t step);
    // dst[k * step + lane] = src[k * row + lane] for k < rows, lane < columns (at most 16); other lanes 0.
    void (*pack_columns)(const T* src, std::ptrdiff_t row, int rows, int columns, T* dst, std::ptrdiff_t step);
    // dst[i] = src[i] for i < n, past the caches where the machine can and dst is aligned to 64 bytes. Other
    // threads see it after a fence.
    void (*put)(const T* src, T* dst, std::ptrdiff_t n);
    // dst[lane * row + k] = src[k * step + lane] for k < columns, lane < rows (at most 16): pack_rows undone.
    void (*unpack_rows)(const T* src, std::ptrdiff_t step, int rows, int columns, T* dst, std::ptrdiff_t row);
    // The elementwise functions by themselves, for tests of their error; n is any number.
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
