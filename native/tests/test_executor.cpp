// A simple recurrent network by a plan written here, against plain loops: forward, all gradients, ragged
// sequences, restarts, both directions, one and several threads, odd sizes. The sanitizers watch.

#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "arrays_testing.h"
#include "dispatch.h"
#include "executor.h"
#include "threads.h"

namespace {

using rondo::BlockRef;
using rondo::Code;
using rondo::Given;
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

Array random_array(std::size_t n) { return rondo::testing::random_array(n, 0.5); }

constexpr int INPUT = 1, HIDDEN = 2;

// h' = tanh(W x + b + U h); parameters W, U, b.
Plan forward_plan() {
    Plan plan;
    plan.operands = {
        {Place::row, INPUT, 0, 0},       // 0: x
        {Place::row, HIDDEN, 1, 0},      // 1: h
        {Place::row, HIDDEN, 1, 1},      // 2: the new h
        {Place::work, HIDDEN, 0, 0},     // 3: the pre-activation
        {Place::vector, HIDDEN, 0, 0},   // 4: b
    };
    plan.work[HIDDEN] = 1;
    plan.rows = {{Role::x, 0, INPUT, true}, {Role::state, 0, HIDDEN, true}};
    plan.vectors = {{{2, 0}}};
    plan.parameters = {{HIDDEN, INPUT, 1, 1}, {HIDDEN, HIDDEN, 1, 1}, {HIDDEN, -1, 1, 1}};
    plan.state_widths = {HIDDEN};
    plan.hoisted = {Group{{3}, {4}, {0}, {{BlockRef{0, 0, false}}}}};
    rondo::Stage stage;
    stage.width = HIDDEN;
    stage.groups = {Group{{3}, {rondo::ACCUMULATE}, {1}, {{BlockRef{1, 0, false}}}}};
    stage.code = {Instruction{Code::tanh, 2, 3, 0, 0, 0}};
    plan.stages = {stage};
    return plan;
}

// With resets the new state is kept in a slot: the state at t + 1 may be another sequence's by then.
Plan keeping(Plan plan) {
    plan.kept[HIDDEN] = 1;
    plan.operands.push_back({Place::kept, HIDDEN, 0, 0});  // 5
    plan.stages[0].code.push_back(Instruction{Code::copy, 5, 2, 0, 0, 0});
    return plan;
}

Plan backward_plan() {
    Plan plan = forward_plan();
    plan.operands = {
        {Place::row, INPUT, 0, 0},      // 0: x
        {Place::row, HIDDEN, 1, 0},     // 1: h before
        {Place::row, HIDDEN, 2, 0},     // 2: dy
        {Place::row, HIDDEN, 3, 0},     // 3: carry
        {Place::kept, HIDDEN, 0, 0},    // 4: the new h
        {Place::work, HIDDEN, 0, 0},    // 5: gradient of the pre-activation
        {Place::temp, HIDDEN, 0, 0},    // 6
        {Place::row, INPUT, 4, 0},      // 7: dx
    };
    plan.kept[HIDDEN] = plan.work[HIDDEN] = plan.temporaries = 1;
    plan.rows = {{Role::x, 0, INPUT, true}, {Role::state, 0, HIDDEN, true}, {Role::dy, 0, HIDDEN, true},
                 {Role::carry, 0, HIDDEN, false}, {Role::dx, 0, INPUT, true}};
    plan.vectors.clear();
    plan.hoisted.clear();
    plan.gradients = {{{2, 0}}};
    rondo::Stage first, second;
    first.width = second.width = HIDDEN;
    first.code = {Instruction{Code::add, 6, 2, 3, 0, 0}, Instruction{Code::tanh_gradient, 5, 6, 4, 0, 0},
                  Instruction{Code::sum_rows, 0, 5, 0, 0, 0}};
    second.groups = {Group{{3}, {rondo::ZERO}, {5}, {{BlockRef{1, 0, true}}}}};
    plan.stages = {first, second};
    plan.after = {Group{{7}, {rondo::ZERO}, {5}, {{BlockRef{0, 0, true}}}}};
    plan.outers = {{0, {{5, 0, 0}}}, {1, {{5, 1, 0}}}};
    return plan;
}

struct Case {
    int B, T, I, H, threads;
    bool ragged, resets, reverse;
    bool packed;  // all matrices, however few rows there are
};

struct Plain {
    Array y, last, dx, dgiven, dfresh, dw, du, db;
};

// The definition, sequence by sequence.
Plain plain(const Case& c, const Array& x, const Array& w, const Array& u, const Array& b, const Array& given,
            const Array& fresh, const std::vector<std::int64_t>& lengths, const std::vector<std::uint8_t>& cuts,
            const Array& dy, const Array& dlast) {
    Plain out{Array(c.B * c.T * c.H), given, Array(c.B * c.T * c.I), dlast, Array(c.B * c.H),
              Array(c.H * c.I), Array(c.H * c.H), Array(c.H)};
    for (int s = 0; s < c.B; ++s) {
        const int n = static_cast<int>(lengths[s]);
        if (!n) continue;
        std::vector<Array> before(n), after(n);
        std::vector<bool> restarted(n, false);
        Array h(given.begin() + s * c.H, given.begin() + (s + 1) * c.H);
        for (int k = 0; k < n; ++k) {
            const int t = c.reverse ? n - 1 - k : k;
            const int cut = c.reverse ? t + 1 : t;
            if (cut < n && cuts[s * c.T + cut]) {
                h.assign(fresh.begin() + s * c.H, fresh.begin() + (s + 1) * c.H);
                restarted[k] = true;
            }
            before[k] = h;
            for (int i = 0; i < c.H; ++i) {
                double a = b[i];
                for (int j = 0; j < c.I; ++j) a += w[i * c.I + j] * x[(s * c.T + t) * c.I + j];
                for (int j = 0; j < c.H; ++j) a += u[i * c.H + j] * before[k][j];
                h[i] = std::tanh(a);
                out.y[(s * c.T + t) * c.H + i] = h[i];
            }
            after[k] = h;
        }
        for (int i = 0; i < c.H; ++i) out.last[s * c.H + i] = h[i];
        Array carry(dlast.begin() + s * c.H, dlast.begin() + (s + 1) * c.H);
        for (int k = n - 1; k >= 0; --k) {
            const int t = c.reverse ? n - 1 - k : k;
            Array next(c.H);
            for (int i = 0; i < c.H; ++i) {
                const double d = (carry[i] + dy[(s * c.T + t) * c.H + i]) * (1 - after[k][i] * after[k][i]);
                out.db[i] += d;
                for (int j = 0; j < c.I; ++j) {
                    out.dw[i * c.I + j] += d * x[(s * c.T + t) * c.I + j];
                    out.dx[(s * c.T + t) * c.I + j] += d * w[i * c.I + j];
                }
                for (int j = 0; j < c.H; ++j) {
                    out.du[i * c.H + j] += d * before[k][j];
                    next[j] += d * u[i * c.H + j];
                }
            }
            carry = next;
            if (restarted[k]) {
                for (int i = 0; i < c.H; ++i) out.dfresh[s * c.H + i] += carry[i];
                carry.assign(c.H, 0.0);
            }
        }
        for (int i = 0; i < c.H; ++i) out.dgiven[s * c.H + i] = carry[i];
    }
    return out;
}

// All results, one after the other.
Array run(const Case& c, const rondo::Kernels<double>& kernels) {
    rondo::testing::numbers.seed(7);
    const Array x = random_array(c.B * c.T * c.I), w = random_array(c.H * c.I);
    Array u = random_array(c.H * c.H);
    for (double& value : u) value /= std::sqrt(c.H);  // rounding errors must not grow from step to step
    const Array b = random_array(c.H), given = random_array(c.B * c.H), fresh = random_array(c.B * c.H);
    const Array dy = random_array(c.B * c.T * c.H), dlast = random_array(c.B * c.H);
    std::vector<std::int64_t> lengths(c.B, c.T);
    std::vector<std::uint8_t> cuts(c.B * c.T, 0);
    for (int s = 0; s < c.B && c.ragged; ++s) lengths[s] = (s * 5 + 2) % (c.T + 1);
    for (std::size_t i = 0; i < cuts.size() && c.resets; ++i) cuts[i] = rondo::testing::numbers() % 3 == 0;
    const Plain wanted = plain(c, x, w, u, b, given, fresh, lengths, cuts, dy, dlast);

    const rondo::Sizes sizes{1, c.I, c.H, 0};
    rondo::Call<double> call;
    call.B = c.B;
    call.T_ = c.T;
    if (c.ragged || c.resets) {
        call.lanes = rondo::make_lanes(c.B, c.T, lengths.data(), c.resets ? cuts.data() : nullptr, c.reverse);
    } else {
        call.reverse = c.reverse;
    }
    call.x = {{x.data(), static_cast<std::ptrdiff_t>(c.T) * c.I, c.I}};
    call.given = {given.data()};
    call.fresh = {fresh.data()};
    const std::vector<const double*> parameters{w.data(), u.data(), b.data()};
    const std::ptrdiff_t packed_rows = c.packed ? 1 << 20 : std::ptrdiff_t{call.rows()} * call.steps();

    Array y(c.B * c.T * c.H), last(c.B * c.H);
    const Given<double> y_place{y.data(), static_cast<std::ptrdiff_t>(c.T) * c.H, c.H};
    const rondo::Engine<double> forward(keeping(forward_plan()), sizes, kernels, c.threads);
    rondo::Residuals<double> residuals = forward.place(call, {true}, nullptr, nullptr);
    forward.run_forward(call, {last.data()}, y_place, forward.pack(parameters, packed_rows), residuals);
    expect_near(y, wanted.y, "outputs");
    expect_near(last, wanted.last, "the last state");

    Array dx(c.B * c.T * c.I), dgiven(c.B * c.H), dfresh(c.B * c.H);
    const double unwritten = std::nan("");
    Array dw(c.H * c.I, unwritten), du(c.H * c.H, unwritten), db(c.H, unwritten);
    rondo::Gradients<double> gradients;
    gradients.dy = {dy.data(), static_cast<std::ptrdiff_t>(c.T) * c.H, c.H};
    gradients.dfinal = {dlast.data()};
    gradients.dx = {{dx.data(), static_cast<std::ptrdiff_t>(c.T) * c.I, c.I}};
    gradients.dgiven = {dgiven.data()};
    gradients.dfresh = {dfresh.data()};
    gradients.dparameters = {dw.data(), du.data(), db.data()};
    const rondo::Engine<double> backward(backward_plan(), sizes, kernels, c.threads);
    backward.run_backward(call, backward.pack(parameters, packed_rows), residuals, gradients);
    expect_near(dx, wanted.dx, "the gradient of x");
    expect_near(dgiven, wanted.dgiven, "the gradient of the given state");
    expect_near(dfresh, wanted.dfresh, "the gradient of the state after a reset");
    expect_near(dw, wanted.dw, "the gradient of W");
    expect_near(du, wanted.du, "the gradient of U");
    expect_near(db, wanted.db, "the gradient of b");

    Array inferred(c.B * c.H);
    const rondo::Engine<double> inference(forward_plan(), sizes, kernels, c.threads);
    rondo::Residuals<double> nothing = inference.place(call, {false}, nullptr, nullptr);
    inference.run_forward(call, {inferred.data()}, {}, inference.pack(parameters, packed_rows), nothing);
    expect_near(inferred, wanted.last, "the last state where no other is kept");
    Array all;
    for (const Array* one : {&y, &last, &dx, &dgiven, &dfresh, &dw, &du, &db, &inferred}) {
        all.insert(all.end(), one->begin(), one->end());
    }
    return all;
}

// Inside a team there is no other: one thread does all members' parts.
void same_without_a_team(const Case& c, const rondo::Kernels<double>& kernels) {
    const Array by_a_team = run(c, kernels);
    Array alone;
    rondo::parallel(2, [&](rondo::Crew& crew) {
        crew.each([&](int member) {
            if (member == 0) alone = run(c, kernels);
        });
    });
    if (by_a_team != alone) {
        ++failures;
        std::fprintf(stderr, "FAILED %s: other results without a team\n", context.c_str());
    }
}

// The gradients of a dense run, from two runs over its halves with one set of sums.
void run_in_halves(const Case& c, const rondo::Kernels<double>& kernels) {
    const Array x = random_array(c.B * c.T * c.I), w = random_array(c.H * c.I), b = random_array(c.H);
    Array u = random_array(c.H * c.H);
    for (double& value : u) value /= std::sqrt(c.H);
    const Array given = random_array(c.B * c.H), dy = random_array(c.B * c.T * c.H), dlast = random_array(c.B * c.H);
    const Plain wanted = plain(c, x, w, u, b, given, Array(c.B * c.H), std::vector<std::int64_t>(c.B, c.T),
                               std::vector<std::uint8_t>(c.B * c.T, 0), dy, dlast);

    const rondo::Sizes sizes{1, c.I, c.H, 0};
    const std::vector<const double*> parameters{w.data(), u.data(), b.data()};
    const rondo::Engine<double> forward(keeping(forward_plan()), sizes, kernels, c.threads);
    const rondo::Engine<double> backward(backward_plan(), sizes, kernels, c.threads);
    const int half = c.T / 2;
    Array middle(c.B * c.H), last(c.B * c.H), dx(c.B * c.T * c.I), dmiddle(c.B * c.H), dgiven(c.B * c.H);
    Array dw(c.H * c.I), du(c.H * c.H), db(c.H), sums(backward.sums_size());
    std::vector<rondo::Call<double>> calls(2);
    std::vector<rondo::Residuals<double>> residuals;
    for (int i : {0, 1}) {
        rondo::Call<double>& call = calls[i];
        call.B = c.B;
        call.T_ = i ? c.T - half : half;
        call.x = {{x.data() + i * half * c.I, static_cast<std::ptrdiff_t>(c.T) * c.I, c.I}};
        call.given = {i ? middle.data() : given.data()};
        call.fresh = {nullptr};
        residuals.push_back(forward.place(call, {true}, nullptr, nullptr));
        forward.run_forward(call, {i ? last.data() : middle.data()}, {}, forward.pack(parameters, c.B * c.T), residuals[i]);
    }
    for (int i : {1, 0}) {
        rondo::Gradients<double> gradients;
        gradients.dy = {dy.data() + i * half * c.H, static_cast<std::ptrdiff_t>(c.T) * c.H, c.H};
        gradients.dfinal = {i ? dlast.data() : dmiddle.data()};
        gradients.dx = {{dx.data() + i * half * c.I, static_cast<std::ptrdiff_t>(c.T) * c.I, c.I}};
        gradients.dgiven = {i ? dmiddle.data() : dgiven.data()};
        gradients.dfresh = {nullptr};
        gradients.dparameters = {dw.data(), du.data(), db.data()};
        gradients.sums = sums.data();
        gradients.first = i == 1;
        gradients.last = i == 0;
        backward.run_backward(calls[i], backward.pack(parameters, c.B * c.T), residuals[i], gradients);
    }
    expect_near(last, wanted.last, "the last state, in halves");
    expect_near(dx, wanted.dx, "the gradient of x, in halves");
    expect_near(dgiven, wanted.dgiven, "the gradient of the given state, in halves");
    expect_near(dw, wanted.dw, "the gradient of W, in halves");
    expect_near(du, wanted.du, "the gradient of U, in halves");
    expect_near(db, wanted.db, "the gradient of b, in halves");
}

void damaged_plans_are_refused() {
    int refused = 0;
    Plan plan = forward_plan();
    plan.operands[3].index = 9;
    try {
        plan.check();
    } catch (const std::exception&) {
        ++refused;
    }
    plan = forward_plan();
    plan.stages[0].code[0].a = 77;
    try {
        plan.check();
    } catch (const std::exception&) {
        ++refused;
    }
    try {
        rondo::checked_bytes(sizeof(double), {PTRDIFF_MAX / 2, 64});
    } catch (const std::bad_alloc&) {
        ++refused;
    }
    if (refused != 3) {
        ++failures;
        std::fprintf(stderr, "FAILED: a damaged plan or an impossible size was taken\n");
    }
}

}  // namespace

int main() {
    int cases = 0;
    for (const rondo::Kernels<double>* kernels :
         {rondo::kernels_avx512<double>(), rondo::kernels_avx2<double>(), rondo::kernels_generic<double>()}) {
        if (!kernels) continue;
        for (int threads : {1, 2, 3}) {
            for (const auto& [B, T, I, H] : {std::array{1, 1, 1, 1}, std::array{3, 7, 5, 19}, std::array{2, 9, 33, 100},
                                             std::array{20, 40, 4, 70}, std::array{4, 1, 64, 160}, std::array{1, 6, 16, 32},
                                             std::array{0, 3, 2, 3}, std::array{2, 0, 2, 3}}) {
                for (int variant = 0; variant < 12; ++variant) {
                    const Case c{B, T, I, H, threads, variant % 3 == 1, variant % 3 == 2, variant / 3 % 2 == 1, variant >= 6};
                    if (c.packed && B * T > 100) continue;
                    if (T == 0 && variant % 3) continue;
                    context = std::string(kernels->name) + ", " + std::to_string(threads) + " threads, B T I H = " +
                              std::to_string(B) + " " + std::to_string(T) + " " + std::to_string(I) + " " +
                              std::to_string(H) + (c.ragged ? ", ragged" : c.resets ? ", resets" : "") +
                              (c.reverse ? ", reverse" : "") + (c.packed ? ", packed" : "");
                    if (threads == 1) run(c, *kernels);
                    else same_without_a_team(c, *kernels);
                    if (T > 1 && variant == 0) run_in_halves(c, *kernels);
                    ++cases;
                }
            }
        }
    }
    damaged_plans_are_refused();
    std::printf("executor: %d cases, %s\n", cases, failures ? "FAILED" : "ok");
    return failures != 0;
}
