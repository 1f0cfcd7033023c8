#include "plan.h"

#include <stdexcept>

namespace rondo {
namespace {

void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(std::string("a damaged plan: ") + what);
}

bool within(int index, std::size_t size) { return index >= 0 && static_cast<std::size_t>(index) < size; }

}  // namespace

void Plan::check() const {
    const auto operand = [&](int index) { require(within(index, operands.size()), "an operand that is not there"); };
    const auto width = [&](int index) { require(within(index, WIDTHS), "an unknown width"); };
    const auto block = [&](int parameter, int number) {
        require(within(parameter, parameters.size()), "a parameter that is not there");
        require(within(number, static_cast<std::size_t>(parameters[parameter].blocks)), "a block that is not there");
    };
    for (const Operand& value : operands) {
        width(value.width);
        const std::size_t sizes[] = {
            static_cast<std::size_t>(kept[value.width]), static_cast<std::size_t>(work[value.width]),
            static_cast<std::size_t>(temporaries), rows.size(), vectors.size(), constants.size()};
        require(within(value.index, sizes[static_cast<int>(value.place)]), "a place that is not there");
        require(value.ahead == 0 || (value.ahead == 1 && value.place == Place::row && rows[value.index].timed),
                "a step ahead of what has no time");
        if (value.place == Place::row) require(rows[value.index].width == value.width, "widths that differ");
    }
    const auto code = [&](const std::vector<Instruction>& instructions) {
        for (const Instruction& one : instructions) {
            require(one.code >= Code::copy && one.code < Code::count, "an unknown instruction");
            for (int number : {one.a, one.b, one.c, one.d}) operand(number);
            if (one.code == Code::sum_rows) require(within(one.dst, gradients.size()), "a gradient that is not there");
            else operand(one.dst);
        }
    };
    const auto group = [&](const Group& products) {
        require(!products.destinations.empty() && !products.sources.empty(), "an empty group");
        require(products.starts.size() == products.destinations.size(), "starts that are missing");
        require(products.matrices.size() == products.destinations.size(), "matrices that are missing");
        for (std::size_t g = 0; g < products.destinations.size(); ++g) {
            operand(products.destinations[g]);
            require(operands[products.destinations[g]].width == operands[products.destinations[0]].width,
                    "destinations of several widths");
            if (products.starts[g] >= 0) {
                operand(products.starts[g]);
                require(operands[products.starts[g]].place == Place::vector, "a start that is no vector");
            }
            require(products.matrices[g].size() == products.sources.size(), "matrices that are missing");
            for (const BlockRef& matrix : products.matrices[g]) {
                if (matrix.parameter < 0) continue;
                block(matrix.parameter, matrix.block);
                require(parameters[matrix.parameter].columns >= 0, "a product with a vector");
            }
        }
        for (int source : products.sources) {
            operand(source);
            const Place place = operands[source].place;
            require(place == Place::row || place == Place::work || place == Place::kept, "a source without rows");
            require(place == operands[products.sources[0]].place, "sources of several places");
            require(operands[source].width == operands[products.sources[0]].width, "sources of several widths");
        }
        require(operands[products.sources[0]].place != Place::row || products.sources.size() == 1,
                "several sources in row buffers");
    };
    for (const Stage& stage : stages) {
        width(stage.width);
        for (const Group& products : stage.groups) {
            group(products);
            require(operands[products.destinations[0]].width == stage.width, "a product of another width");
        }
        code(stage.code);
        code(stage.row_code);
        for (const auto& [number, mean] : stage.reductions) {
            operand(number);
            require(operands[number].width == 0 && operands[number].place != Place::row, "a reduction to many units");
        }
    }
    for (const Group& products : hoisted) group(products);
    for (const Group& products : after) group(products);
    for (const RowBuffer& buffer : rows) {
        width(buffer.width);
        require(buffer.part >= 0, "a row buffer of nothing");
        if (buffer.role == Role::state || buffer.role == Role::carry) {
            require(within(buffer.part, state_widths.size()), "a part of the state that is not there");
            require(state_widths[buffer.part] == buffer.width, "a state of another width");
        }
    }
    for (const Outer& outer : outers) {
        operand(outer.right);
        require(operands[outer.right].place == Place::row && operands[outer.right].ahead == 0, "a right side without rows");
        for (const Left& left : outer.lefts) {
            operand(left.slot);
            require(operands[left.slot].place == Place::work, "a left side outside the working block");
            require(operands[left.slot].width == operands[outer.lefts[0].slot].width, "left sides of different widths");
            block(left.parameter, left.block);
        }
    }
    for (const auto* lists : {&vectors, &gradients}) {
        for (const auto& list : *lists) {
            require(!list.empty(), "a vector of nothing");
            for (const Reference& one : list) block(one.parameter, one.block);
        }
    }
}

}  // namespace rondo
