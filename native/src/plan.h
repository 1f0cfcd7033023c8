// A plan as the engine executes it; rondo/backends/cpu/plan.py says what each part means.

#pragma once

#include <array>
#include <string>
#include <vector>

#include "kernels.h"

namespace rondo {

enum class Place { kept, work, temp, row, vector, constant };

// one, input, hidden, projection
constexpr int WIDTHS = 4;
using Sizes = std::array<int, WIDTHS>;

struct Operand {
    Place place;
    int width, index, ahead;
};

struct BlockRef {
    int parameter = -1;  // -1: no product
    int block = 0;
    bool transposed = false;
};

constexpr int ZERO = -1, ACCUMULATE = -2;

struct Group {
    std::vector<int> destinations, starts, sources;
    std::vector<std::vector<BlockRef>> matrices;  // by destination, by source
};

struct Stage {
    int width = 0;
    std::vector<Group> groups;
    std::vector<Instruction> code;
    std::vector<std::pair<int, bool>> reductions;  // operand, whether to divide by the number of units
    std::vector<Instruction> row_code;
};

enum class Role { x, state, mask, own, dy, carry, dx };

struct RowBuffer {
    Role role;
    int part;  // for state and carry: number of the part; for masks, x and dx: number of the mask or input
    int width;
    bool timed;
};

struct Left {
    int slot, parameter, block;
};

struct Outer {
    int right;
    std::vector<Left> lefts;
};

struct Parameter {
    int rows, columns;  // widths; columns -1 for a vector or bias
    int blocks, heads;
};

struct Reference {
    int parameter, block;
};

struct Constant {
    double value;
    int over_units_of;  // a width: the value is divided by its number of units; -1: as it is
};

struct Plan {
    std::vector<Operand> operands;
    std::vector<Stage> stages;
    std::array<int, WIDTHS> kept{}, work{};
    int temporaries = 0;
    std::vector<RowBuffer> rows;
    std::vector<std::vector<Reference>> vectors;
    std::vector<Constant> constants;
    std::vector<Group> hoisted, after;
    std::vector<Outer> outers;
    std::vector<std::vector<Reference>> gradients;
    std::vector<Parameter> parameters;
    std::vector<int> state_widths;  // of each part

    // Throws std::invalid_argument when a number points nowhere.
    void check() const;
};

}  // namespace rondo
