// Two layers with a mean inside and a dense layer on top by plans written here, step by step against plain loops:
// batches, teams, odd sizes, rows of tables, the state read and written. The sanitizers watch.

#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "arrays_testing.h"
#include "dispatch.h"
#include "stepper.h"

namespace {

using rondo::BlockRef;
using rondo::Code;
using rondo::Group;
using rondo::Instruction;
using rondo::Place;
using rondo::Plan;
using rondo::Role;

using rondo::testing::Array;
using rondo::testing::context;
using rondo::testing::expect;
using rondo::testing::expect_near;
using rondo::testing::failures;

Array random_array(std::size_t n) { return rondo::testing::random_array(n, 0.3); }

constexpr int ONE = 0, INPUT = 1, HIDDEN = 2;

// h' = tanh(a - mean(a)) where a = W x + b + U h; parameters W, U, b.
Plan recurrent_plan() {
    Plan plan;
    plan.operands = {
        {Place::row, INPUT, 0, 0},      // 0: x
        {Place::row, HIDDEN, 1, 0},     // 1: h
        {Place::row, HIDDEN, 1, 1},     // 2: the new h
        {Place::work, HIDDEN, 0, 0},    // 3: a
        {Place::vector, HIDDEN, 0, 0},  // 4: b
        {Place::work, ONE, 0, 0},       // 5: the mean
        {Place::work, ONE, 1, 0},       // 6: the mean, negative
        {Place::temp, HIDDEN, 0, 0},    // 7
    };
    plan.work[HIDDEN] = plan.temporaries = 1;
    plan.work[ONE] = 2;
    plan.rows = {{Role::x, 0, INPUT, true}, {Role::state, 0, HIDDEN, true}};
    plan.vectors = {{{2, 0}}};
    plan.parameters = {{HIDDEN, INPUT, 1, 1}, {HIDDEN, HIDDEN, 1, 1}, {HIDDEN, -1, 1, 1}};
    plan.state_widths = {HIDDEN};
    plan.hoisted = {Group{{3}, {4}, {0}, {{BlockRef{0, 0, false}}}}};
    rondo::Stage first, second;
    first.width = second.width = HIDDEN;
    first.groups = {Group{{3}, {rondo::ACCUMULATE}, {1}, {{BlockRef{1, 0, false}}}}};
    first.code = {Instruction{Code::reduce, 5, 3, 0, 0, 0}};
    first.reductions = {{5, true}};
    first.row_code = {Instruction{Code::neg, 6, 5, 0, 0, 0}};
    second.code = {Instruction{Code::add, 7, 3, 6, 0, 0}, Instruction{Code::tanh, 2, 7, 0, 0, 0}};
    plan.stages = {first, second};
    return plan;
}

Plan dense_plan() {
    Plan plan;
    plan.operands = {{Place::row, INPUT, 0, 0}, {Place::row, HIDDEN, 1, 0}, {Place::vector, HIDDEN, 0, 0}};
    plan.rows = {{Role::x, 0, INPUT, true}, {Role::own, 0, HIDDEN, false}};
    plan.vectors = {{{1, 0}}};
    plan.parameters = {{HIDDEN, INPUT, 1, 1}, {HIDDEN, -1, 1, 1}};
    plan.hoisted = {Group{{1}, {2}, {0}, {{BlockRef{0, 0, false}}}}};
    return plan;
}

// M x + b for rows x of n, onto y of m.
Array affine(const Array& matrix, const Array& b, const Array& x, int B, int n) {
    const int m = static_cast<int>(b.size());
    Array y(static_cast<std::size_t>(B) * m);
    for (int r = 0; r < B; ++r) {
        for (int i = 0; i < m; ++i) {
            double sum = b[i];
            for (int k = 0; k < n; ++k) sum += matrix[i * n + k] * x[r * n + k];
            y[r * m + i] = sum;
        }
    }
    return y;
}

struct Layer {
    int n, m;
    Array w, u, b;

    Layer(int n_, int m_) : n(n_), m(m_), w(random_array(n_ * m_)), u(random_array(m_ * m_)), b(random_array(m_)) {}

    Array step(const Array& x, const Array& h, int B) const {
        Array a = affine(w, b, x, B, n);
        const Array more = affine(u, Array(m, 0.0), h, B, m);
        for (int r = 0; r < B; ++r) {
            double mean = 0;
            for (int i = 0; i < m; ++i) mean += (a[r * m + i] += more[r * m + i]) / m;
            for (int i = 0; i < m; ++i) a[r * m + i] = std::tanh(a[r * m + i] - mean);
        }
        return a;
    }
};

void run(int B, int I, int H, int V, int threads) {
    context = "B " + std::to_string(B) + ", I " + std::to_string(I) + ", H " + std::to_string(H) + ", V " +
              std::to_string(V) + ", " + std::to_string(threads) + " threads";
    const rondo::Kernels<double>& kernels = *rondo::choose_kernels<double>("");
    const rondo::Engine<double> lower(recurrent_plan(), {1, I, H, 0}, kernels, threads);
    const rondo::Engine<double> upper(recurrent_plan(), {1, H, H, 0}, kernels, threads);
    const rondo::Engine<double> dense(dense_plan(), {1, H, V, 0}, kernels, threads);
    const Layer one(I, H), two(H, H);
    const Array out = random_array(static_cast<std::size_t>(V) * H), bias = random_array(V);
    const int rows = 5;
    const Array table = random_array(rows * I), other = random_array(rows * I);

    Array y(static_cast<std::size_t>(B) * V);
    rondo::Stepper<double> stepper(B, threads);
    stepper.add(lower, {one.w.data(), one.u.data(), one.b.data()});
    stepper.add(upper, {two.w.data(), two.u.data(), two.b.data()});
    stepper.add(dense, {out.data(), bias.data()});
    stepper.add_table(table.data(), rows);
    stepper.add_table(other.data(), rows);
    stepper.finish(y.data());

    Array h = random_array(static_cast<std::size_t>(B) * H), g(static_cast<std::size_t>(B) * H, 0.0);
    stepper.write(0, 0, h.data());
    for (int t = 0; t < 6; ++t) {
        Array x = random_array(static_cast<std::size_t>(B) * I);
        if (t % 3 == 2) {
            std::vector<std::int64_t> chosen;
            for (int i = 0; i < 2 * B; ++i) chosen.push_back((i * 3 + t) % rows);
            for (int i = 0; i < B * I; ++i) {
                x[i] = table[chosen[i / I] * I + i % I] + other[chosen[B + i / I] * I + i % I];
            }
            stepper.step_rows(chosen.data());
            chosen.back() = rows;
            bool refused = false;
            try {
                stepper.step_rows(chosen.data());
            } catch (const std::out_of_range&) {
                refused = true;
            }
            expect(refused, "a row that is not there is refused");
        } else {
            stepper.step(x.data());
        }
        h = one.step(x, h, B);
        g = two.step(h, g, B);
        expect_near(y, affine(out, bias, g, B, H), "the output");
        Array now(h.size());
        stepper.read(0, 0, now.data());
        expect_near(now, h, "the state of the lower layer");
        stepper.read(1, 0, now.data());
        expect_near(now, g, "the state of the upper layer");
        if (t == 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // and the team sleeps too
    }
}

}  // namespace

int main() {
    for (int threads : {1, 2, 3}) {
        for (int B : {1, 2, 5, 33}) {
            run(B, 3, 5, 4, threads);
            run(B, 17, 40, 19, threads);
        }
        run(1, 9, 210, 100, threads);
        run(4, 64, 160, 33, threads);
    }
    return failures != 0;
}
