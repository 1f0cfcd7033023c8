// Plans of real cells, and runs of them with all that they read and write.

#pragma once

#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "arrays_testing.h"
#include "executor.h"
#include "plans_encoded.h"

namespace rondo::testing {

// In the order of make_plan in module.cpp.
inline Plan decoded(const std::vector<double>& numbers) {
    const double* at = numbers.data();
    const auto whole = [&] { return static_cast<int>(*at++); };
    const auto list = [&](const auto& item) {
        std::vector<decltype(item())> all;
        for (int n = whole(); n > 0; --n) all.push_back(item());
        return all;
    };
    const auto wholes = [&] { return list(whole); };
    const auto block = [&] { return BlockRef{whole(), whole(), whole() != 0}; };
    const auto group = [&] { return Group{wholes(), wholes(), wholes(), list([&] { return list(block); })}; };
    const auto instruction = [&] {
        return Instruction{static_cast<Code>(whole()), whole(), whole(), whole(), whole(), whole()};
    };
    const auto reduction = [&] { return std::pair<int, bool>{whole(), whole() != 0}; };
    const auto references = [&] { return list([&] { return list([&] { return Reference{whole(), whole()}; }); }); };
    const auto by_width = [&] {
        std::array<int, WIDTHS> all{};
        const std::vector<int> given = wholes();
        std::copy(given.begin(), given.end(), all.begin());
        return all;
    };
    Plan plan;
    plan.operands = list([&] { return Operand{static_cast<Place>(whole()), whole(), whole(), whole()}; });
    plan.stages = list([&] {
        return Stage{whole(), list(group), list(instruction), list(reduction), list(instruction)};
    });
    plan.kept = by_width();
    plan.work = by_width();
    plan.temporaries = whole();
    plan.rows = list([&] { return RowBuffer{static_cast<Role>(whole()), whole(), whole(), whole() != 0}; });
    plan.vectors = references();
    plan.constants = list([&] {
        const double value = *at++;
        return Constant{value, whole()};
    });
    plan.hoisted = list(group);
    plan.after = list(group);
    plan.outers = list([&] { return Outer{whole(), list([&] { return Left{whole(), whole(), whole()}; })}; });
    plan.gradients = references();
    plan.parameters = list([&] { return Parameter{whole(), whole(), whole(), whole()}; });
    plan.state_widths = wholes();
    if (at != numbers.data() + numbers.size()) throw std::invalid_argument("an encoded plan that is not one");
    return plan;
}

struct Cell {
    std::string name;
    Plan forward, backward, restarting_forward, restarting_backward, inference;
};

inline std::vector<Cell> cells() {
    std::vector<Cell> all;
    for (const EncodedCell& one : encoded_cells) {
        all.push_back({one.name, decoded(one.plans[0]), decoded(one.plans[1]), decoded(one.plans[2]),
                       decoded(one.plans[3]), decoded(one.plans[4])});
    }
    return all;
}

struct Shape {
    Sizes sizes;  // one, input, hidden, projection
    int B, T;
    bool restarts = false;  // sequences of different lengths, which begin anew inside; time backwards
};

// A cell with its arrays, the same numbers for every type.
template <class T>
class Runs {
public:
    using Values = std::vector<T>;

    Runs(const Cell& cell, const Shape& shape, const Kernels<T>& kernels, int threads)
        : forward_(shape.restarts ? cell.restarting_forward : cell.forward, shape.sizes, kernels, threads),
          backward_(shape.restarts ? cell.restarting_backward : cell.backward, shape.sizes, kernels, threads),
          inference_(cell.inference, shape.sizes, kernels, threads), shape_(shape) {
        numbers.seed(7);
        const Plan& plan = forward_.plan();
        const int B = shape.B, steps = shape.T, I = shape.sizes[1], H = shape.sizes[plan.state_widths[0]];
        x_ = values(B * steps * I, 1);
        dy_ = values(B * steps * H, 1);
        for (int width : plan.state_widths) {
            given_.push_back(values(B * shape.sizes[width], 0.5, 0.6));  // also what a state divides by
            fresh_.push_back(values(B * shape.sizes[width], 0.5, 0.6));
            dfinal_.push_back(values(B * shape.sizes[width], 1));
        }
        for (const Parameter& one : plan.parameters) {
            const int columns = one.columns < 0 ? 1 : shape.sizes[one.columns] / one.heads;
            parameters_.push_back(values(one.blocks * shape.sizes[one.rows] * columns, 1 / std::sqrt(columns)));
        }
        y_.resize(dy_.size());
        dx_.resize(x_.size());
        final_ = dgiven_ = dfresh_ = inferred_ = given_;
        dparameters_ = parameters_;
        call_.B = B;
        call_.T_ = steps;
        if (shape.restarts) {
            lengths_.resize(B);
            cuts_.resize(B * steps);
            for (int b = 0; b < B; ++b) lengths_[b] = steps - (b * 5) % (steps + 1);
            for (auto& cut : cuts_) cut = numbers() % 9 == 0;
            call_.lanes = make_lanes(B, steps, lengths_.data(), cuts_.data(), true);
        }
        call_.x = {{x_.data(), static_cast<std::ptrdiff_t>(steps) * I, I}};
        call_.given = pointers<const T>(given_);
        call_.fresh = pointers<const T>(fresh_);
    }
    Runs(const Runs&) = delete;

    const Engine<T>& inference() const { return inference_; }
    std::vector<const T*> parameters() const { return pointers<const T>(parameters_); }
    const Values& x() const { return x_; }

    void forward() {
        std::vector<bool> all_steps;
        for (std::size_t part = 0; part < given_.size(); ++part) {
            bool kept = part == 0;
            for (const RowBuffer& row : backward_.plan().rows) {
                kept = kept || (row.role == Role::state && row.part == static_cast<int>(part));
            }
            all_steps.push_back(kept);
        }
        Residuals<T> residuals = forward_.place(call_, all_steps, nullptr, nullptr);
        forward_.run_forward(call_, pointers<T>(final_), given_of(y_), packed(forward_), residuals);
        residuals_ = std::move(residuals);
    }

    // After `forward`.
    void backward() {
        Gradients<T> gradients;
        gradients.dy = given_of(std::as_const(dy_));
        gradients.dfinal = pointers<const T>(dfinal_);
        gradients.dx = {{dx_.data(), call_.x[0].batch, call_.x[0].time}};
        gradients.dgiven = pointers<T>(dgiven_);
        gradients.dfresh = pointers<T>(dfresh_);
        gradients.dparameters = pointers<T>(dparameters_);
        backward_.run_backward(call_, packed(backward_), residuals_, gradients);
    }

    void infer(const Engine<T>& engine) {
        Residuals<T> none = engine.place(call_, std::vector<bool>(given_.size()), nullptr, nullptr);
        engine.run_forward(call_, pointers<T>(inferred_), {}, packed(engine), none);
    }

    // What is there to be written again must be written.
    void spoil() {
        const T nothing = std::numeric_limits<T>::quiet_NaN();
        for (auto* list : {&final_, &inferred_, &dgiven_, &dfresh_, &dparameters_}) {
            for (Values& one : *list) std::fill(one.begin(), one.end(), nothing);
        }
        std::fill(y_.begin(), y_.end(), nothing);
        std::fill(dx_.begin(), dx_.end(), shape_.restarts ? T(0) : nothing);  // nothing behind the ends is written
    }

    Array outputs() const { return joined({&y_}, {&final_}); }
    Array gradients() const { return joined({&dx_}, {&dgiven_, &dfresh_, &dparameters_}); }
    Array finals() const { return joined({}, {&final_}); }
    Array inferred() const { return joined({}, {&inferred_}); }

    // What y and the last state, weighed by the gradients that are given, change along a direction: by differences,
    // and by the gradients of `backward`.
    std::pair<double, double> slopes() {
        std::vector<std::pair<Values*, const Values*>> all{{&x_, &dx_}};
        for (const auto& [to, from] : {std::pair{&given_, &dgiven_}, std::pair{&fresh_, &dfresh_},
                                        std::pair{&parameters_, &dparameters_}}) {
            for (std::size_t i = 0; i < to->size(); ++i) all.push_back({&(*to)[i], &(*from)[i]});
        }
        std::vector<Values> before, directions;
        double told = 0;
        for (const auto& [value, gradient] : all) {
            before.push_back(*value);
            directions.push_back(values(value->size(), 1));
            told += dot(directions.back(), *gradient);
        }
        double losses[2];
        const double step = 1e-5;
        for (int side : {0, 1}) {
            for (std::size_t i = 0; i < all.size(); ++i) {
                for (std::size_t k = 0; k < before[i].size(); ++k) {
                    (*all[i].first)[k] = before[i][k] + static_cast<T>(side ? step : -step) * directions[i][k];
                }
            }
            forward();
            losses[side] = dot(y_, dy_);
            for (std::size_t part = 0; part < final_.size(); ++part) losses[side] += dot(final_[part], dfinal_[part]);
        }
        for (std::size_t i = 0; i < all.size(); ++i) *all[i].first = before[i];
        return {(losses[1] - losses[0]) / (2 * step), told};
    }

private:
    template <class Element, class Lists>
    static std::vector<Element*> pointers(Lists& lists) {
        std::vector<Element*> all;
        for (auto& one : lists) all.push_back(one.data());
        return all;
    }
    static Values values(std::size_t n, double bound, double middle = 0) {
        const Array drawn = random_array(n, bound);
        Values all(n);
        for (std::size_t i = 0; i < n; ++i) all[i] = static_cast<T>(middle + drawn[i]);
        return all;
    }
    static double dot(const Values& a, const Values& b) {
        double sum = 0;
        for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
        return sum;
    }
    static Array joined(const std::vector<const Values*>& ones, const std::vector<const std::vector<Values>*>& lists) {
        Array all;
        for (const Values* one : ones) all.insert(all.end(), one->begin(), one->end());
        for (const auto* list : lists) {
            for (const Values& one : *list) all.insert(all.end(), one.begin(), one.end());
        }
        return all;
    }
    template <class Some>
    auto given_of(Some& outputs) const {
        const std::ptrdiff_t H = shape_.sizes[forward_.plan().state_widths[0]];
        return Given<std::remove_pointer_t<decltype(outputs.data())>>{outputs.data(), shape_.T * H, H};
    }
    Packed packed(const Engine<T>& engine) const {
        return engine.pack(parameters(), std::ptrdiff_t{call_.rows()} * call_.steps());
    }

    const Engine<T> forward_, backward_, inference_;
    const Shape shape_;
    Values x_, y_, dx_, dy_;
    std::vector<Values> given_, fresh_, final_, inferred_, dfinal_, dgiven_, dfresh_;  // by part
    std::vector<Values> parameters_, dparameters_;
    std::vector<std::int64_t> lengths_;
    std::vector<std::uint8_t> cuts_;
    Call<T> call_;
    Residuals<T> residuals_;
};

}  // namespace rondo::testing
