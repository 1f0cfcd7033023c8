// A recurrence alone, h' = u sigmoid(a) h + g with a and g given, by plans written here, against plain loops: forward
// and all gradients, both directions, in place and gathered, within what caches hold and beyond.

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "arrays_testing.h"
#include "dispatch.h"
#include "executor.h"

namespace {

using rondo::Code;
using rondo::Place;
using rondo::Plan;
using rondo::Role;

using rondo::testing::Array;
using rondo::testing::context;
using rondo::testing::expect_near;
using rondo::testing::random_array;

constexpr int HIDDEN = 2;

Plan forward_plan() {
    Plan plan;
    plan.operands = {
        {Place::row, HIDDEN, 0, 0},     // 0: a
        {Place::row, HIDDEN, 1, 0},     // 1: g
        {Place::row, HIDDEN, 2, 0},     // 2: h
        {Place::row, HIDDEN, 2, 1},     // 3: the new h
        {Place::vector, HIDDEN, 0, 0},  // 4: u
        {Place::temp, HIDDEN, 0, 0},    // 5
    };
    plan.temporaries = 1;
    plan.rows = {{Role::x, 0, HIDDEN, true}, {Role::x, 1, HIDDEN, true}, {Role::state, 0, HIDDEN, true}};
    plan.vectors = {{{0, 0}}};
    plan.parameters = {{HIDDEN, -1, 1, 1}};
    plan.state_widths = {HIDDEN};
    rondo::Stage stage;
    stage.width = HIDDEN;
    stage.code = {{Code::sigmoid, 5, 0, 0, 0, 0}, {Code::mul, 5, 5, 4, 0, 0}, {Code::fma, 3, 5, 2, 1, 0}};
    plan.stages = {stage};
    return plan;
}

Plan backward_plan() {
    Plan plan = forward_plan();
    plan.operands = {
        {Place::row, HIDDEN, 0, 0},     // 0: a
        {Place::row, HIDDEN, 1, 0},     // 1: h
        {Place::row, HIDDEN, 2, 0},     // 2: dy
        {Place::row, HIDDEN, 3, 0},     // 3: carry
        {Place::row, HIDDEN, 4, 0},     // 4: da
        {Place::row, HIDDEN, 5, 0},     // 5: dg
        {Place::vector, HIDDEN, 0, 0},  // 6: u
        {Place::temp, HIDDEN, 0, 0},    // 7: the gate
        {Place::temp, HIDDEN, 1, 0},    // 8
        {Place::temp, HIDDEN, 2, 0},    // 9: d
    };
    plan.temporaries = 3;
    plan.rows = {{Role::x, 0, HIDDEN, true},      {Role::state, 0, HIDDEN, true}, {Role::dy, 0, HIDDEN, true},
                 {Role::carry, 0, HIDDEN, false}, {Role::dx, 0, HIDDEN, true},    {Role::dx, 1, HIDDEN, true}};
    plan.gradients = {{{0, 0}}};
    plan.stages[0].code = {
        {Code::add, 9, 2, 3, 0, 0},     {Code::copy, 5, 9, 0, 0, 0},             {Code::sigmoid, 7, 0, 0, 0, 0},
        {Code::mul, 8, 9, 1, 0, 0},     {Code::mul, 3, 8, 7, 0, 0},              {Code::sum_rows, 0, 3, 0, 0, 0},
        {Code::mul, 8, 8, 6, 0, 0},     {Code::sigmoid_gradient, 4, 8, 7, 0, 0}, {Code::mul, 8, 9, 7, 0, 0},
        {Code::mul, 3, 8, 6, 0, 0},
    };
    return plan;
}

struct Case {
    int B, T, H, threads;
    bool reverse;
};

void run(const Case& c, const rondo::Kernels<double>& kernels) {
    const std::ptrdiff_t N = (c.H + 15) / 16 * 16, TH = std::ptrdiff_t{c.T} * c.H, BTH = c.B * TH;
    const Array ag = random_array(2 * BTH, 1), u = random_array(c.H, 1), h0 = random_array(c.B * c.H, 1);
    const Array dy = random_array(BTH, 1), dlast = random_array(c.B * c.H, 1);
    Array y(BTH), last = h0, dag(2 * BTH), dh0 = dlast, du(c.H);
    const auto gate = [](double a) { return 1 / (1 + std::exp(-a)); };
    const auto at = [&](int b, int k) { return b * TH + std::ptrdiff_t{c.reverse ? c.T - 1 - k : k} * c.H; };
    for (int b = 0; b < c.B; ++b) {
        double* h = last.data() + b * c.H;
        for (int k = 0; k < c.T; ++k) {
            for (int i = 0; i < c.H; ++i) {
                h[i] = y[at(b, k) + i] = u[i] * gate(ag[2 * at(b, k) + i]) * h[i] + ag[2 * at(b, k) + c.H + i];
            }
        }
        double* carry = dh0.data() + b * c.H;
        for (int k = c.T - 1; k >= 0; --k) {
            const double* before = k ? y.data() + at(b, k - 1) : h0.data() + b * c.H;
            for (int i = 0; i < c.H; ++i) {
                const double s = gate(ag[2 * at(b, k) + i]), d = dy[at(b, k) + i] + carry[i];
                dag[2 * at(b, k) + c.H + i] = d;
                dag[2 * at(b, k) + i] = d * before[i] * u[i] * s * (1 - s);
                du[i] += d * before[i] * s;
                carry[i] = d * s * u[i];
            }
        }
    }

    const rondo::Sizes sizes{1, 0, c.H, 0};
    rondo::Call<double> call;
    call.B = c.B;
    call.T_ = c.T;
    call.reverse = c.reverse;
    call.by_sequence = true;
    call.x = {{ag.data(), 2 * TH, 2 * c.H}, {ag.data() + c.H, 2 * TH, 2 * c.H}};
    call.given = {h0.data()};
    call.fresh = {nullptr};
    Array states(c.B * (c.T + 1) * N), found_last(c.B * c.H), rest(1);
    const rondo::Engine<double> forward(forward_plan(), sizes, kernels, c.threads);
    rondo::Residuals<double> residuals = forward.place(call, {true}, states.data(), rest.data());
    forward.run_forward(call, {found_last.data()}, {}, forward.pack({u.data()}, 0), residuals);
    Array found_y(BTH);
    for (int b = 0; b < c.B; ++b) {
        for (int t = 0; t < c.T; ++t) {
            const double* from = states.data() + (b * (c.T + 1) + t + (c.reverse ? 0 : 1)) * N;
            std::copy(from, from + c.H, found_y.begin() + b * TH + std::ptrdiff_t{t} * c.H);
        }
    }
    expect_near(found_y, y, "outputs");
    expect_near(found_last, last, "the last state");

    Array found_dag(2 * BTH, std::nan("")), found_dh0(c.B * c.H), found_du(c.H);
    rondo::Gradients<double> gradients;
    gradients.dy = {dy.data(), TH, c.H};
    gradients.dfinal = {dlast.data()};
    gradients.dx = {{found_dag.data(), 2 * TH, 2 * c.H}, {found_dag.data() + c.H, 2 * TH, 2 * c.H}};
    gradients.dgiven = {found_dh0.data()};
    gradients.dfresh = {nullptr};
    gradients.dparameters = {found_du.data()};
    const rondo::Engine<double> backward(backward_plan(), sizes, kernels, c.threads);
    backward.run_backward(call, backward.pack({u.data()}, 0), residuals, gradients);
    expect_near(found_dag, dag, "the gradients of what is given");
    expect_near(found_dh0, dh0, "the gradient of the first state");
    expect_near(found_du, du, "the gradient of u", 1e-9);
}

}  // namespace

int main() {
    int cases = 0;
    for (const rondo::Kernels<double>* kernels :
         {rondo::kernels_avx512<double>(), rondo::kernels_avx2<double>(), rondo::kernels_generic<double>()}) {
        if (!kernels) continue;
        for (const auto& [B, T, H] : {std::array{1, 1, 1}, std::array{3, 7, 19}, std::array{5, 40, 64}, std::array{1, 90, 1040},
                                      std::array{20, 3, 48}, std::array{2, 550, 1024}, std::array{0, 3, 16}, std::array{2, 0, 16}}) {
            for (int threads : {1, 2}) {
                for (bool reverse : {false, true}) {
                    context = std::string(kernels->name) + ", " + std::to_string(threads) + " threads, B T H = " +
                              std::to_string(B) + " " + std::to_string(T) + " " + std::to_string(H) + (reverse ? ", reverse" : "");
                    run({B, T, H, threads, reverse}, *kernels);
                    ++cases;
                }
            }
        }
    }
    std::printf("scans: %d cases, %s\n", cases, rondo::testing::failures ? "FAILED" : "ok");
    return rondo::testing::failures ? 1 : 0;
}
