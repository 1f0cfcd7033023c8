// Plans of real cells, forward, backward and inference: in float as in double, divided between two members (by rows, by
// panels) as by one, by each instruction set as by the best, in bfloat16 nearly; and gradients as differences say. The
// sanitizers watch.

#include <cmath>
#include <cstdio>
#include <string>

#include "bfloat16.h"
#include "dispatch.h"
#include "plans_testing.h"

namespace {

using rondo::testing::Array;
using rondo::testing::Cell;
using rondo::testing::Runs;
using rondo::testing::Shape;
using rondo::testing::context;
using rondo::testing::expect;
using rondo::testing::failures;

// Several chunks of steps each, and odd sizes: rows are divided; too few rows, so panels are.
const Shape SHAPES[] = {{{1, 5, 19, 7}, 20, 24}, {{1, 9, 52, 37}, 7, 60}};

// How far numbers are apart, those above one by their size.
double apart(const Array& found, const Array& wanted) {
    double worst = found.size() == wanted.size() ? 0 : INFINITY;
    for (std::size_t i = 0; i < std::min(found.size(), wanted.size()); ++i) {
        const double error = std::abs(found[i] - wanted[i]) / std::max(1.0, std::abs(wanted[i]));
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

void expect_close(const Array& found, const Array& wanted, double tolerance, const char* what) {
    const double error = apart(found, wanted);
    if (!(error <= tolerance)) std::fprintf(stderr, "differs by %g: ", error);
    expect(error <= tolerance, what);
}

struct Results {
    Array outputs, gradients;
};

template <class T>
void run(Runs<T>& runs, double tolerance, Results& wanted) {
    runs.spoil();
    runs.forward();
    runs.backward();
    runs.infer(runs.inference());
    if (wanted.outputs.empty()) wanted = {runs.outputs(), runs.gradients()};
    expect_close(runs.outputs(), wanted.outputs, tolerance, "outputs and the last state");
    expect_close(runs.gradients(), wanted.gradients, tolerance, "gradients");
    expect_close(runs.inferred(), runs.finals(), tolerance, "the last state where no other is kept");
}

template <class T>
void run_all(const Cell& cell, const Shape& shape, double tolerance, Results& wanted) {
    const rondo::Kernels<T>* const best = rondo::choose_kernels<T>("");
#if defined(__SANITIZE_THREAD__)
    const bool all = false;  // threads are the same to each
#else
    const bool all = true;
#endif
    for (const char* name : {"avx512", "avx2", "generic"}) {
        const rondo::Kernels<T>* kernels = rondo::choose_kernels<T>(name);
        if (!kernels || (kernels != best && !all)) continue;
        for (int threads : {1, 2}) {
            if (threads == 1 && kernels != best) continue;
            context = cell.name + ", " + name + (sizeof(T) == 4 ? ", float, " : ", double, ") + std::to_string(threads) +
                      " threads, B = " + std::to_string(shape.B) + (shape.restarts ? ", restarts" : "");
            Runs<T> runs(cell, shape, *kernels, threads);
            run(runs, tolerance, wanted);
        }
    }
}

void gradients_are_those_of_the_outputs(const Cell& cell, const Shape& shape) {
    context = cell.name + ", gradients";
    Runs<double> runs(cell, shape, *rondo::choose_kernels<double>(""), 1);
    runs.forward();
    runs.backward();
    const auto [seen, told] = runs.slopes();
    expect_close({seen}, {told}, 1e-6, "a change of the outputs");
}

void bfloat16(const Cell& cell, const Shape& shape) {
    const rondo::Kernels<float>* kernels = rondo::choose_kernels<float>("avx512");
    if (!kernels || !rondo::bfloat16_kernels()) return;
    for (int threads : {1, 2}) {
        context = cell.name + ", bfloat16, " + std::to_string(threads) + " threads";
        Runs<float> runs(cell, shape, *kernels, threads);
        runs.spoil();
        runs.infer(runs.inference());
        const Array wanted = runs.inferred();
        runs.spoil();
        runs.infer(rondo::Engine<float>(cell.inference, shape.sizes, *kernels, threads, true));
        expect_close(runs.inferred(), wanted, 0.05, "the last state");
        expect(apart(runs.inferred(), wanted) > 1e-5, "numbers are rounded to bfloat16");
    }
}

}  // namespace

int main() {
    for (const Cell& cell : rondo::testing::cells()) {
        for (Shape shape : SHAPES) {
            for (bool restarts : {false, true}) {
                shape.restarts = restarts;
                Results wanted;
                run_all<double>(cell, shape, 1e-10, wanted);
                run_all<float>(cell, shape, 1e-4, wanted);
                gradients_are_those_of_the_outputs(cell, shape);
                bfloat16(cell, shape);
            }
        }
    }
    std::printf("cells: %s\n", failures ? "FAILED" : "ok");
    return failures != 0;
}
