// Tests of the micro-kernels: every number of rows and outputs, odd lengths, runs, sources and strides.

#include "kernels_testing.h"

namespace rondo::testing {

struct Shape {
    int rows, outputs, runs, sources, length, last_length;
    bool transposed;  // A has its rows side by side: a_row is 1
};

template <class T>
void test_product(const Kernels<T>& k, const Shape& s) {
    char text[200];
    std::snprintf(text, sizeof text, "%s %s product rows=%d outputs=%d runs=%d sources=%d length=%d last=%d %s", k.name,
                  sizeof(T) == 4 ? "float" : "double", s.rows, s.outputs, s.runs, s.sources, s.length, s.last_length,
                  s.transposed ? "transposed" : "plain");
    context = text;
    Product<T> p{};
    p.runs = s.runs;
    p.sources = s.sources;
    p.length = s.length;
    p.last_length = s.last_length;
    const int steps = ((s.runs - 1) * s.length + s.last_length) * s.sources;
    p.a_step = s.transposed ? s.rows + whole(0, 3) : 1 + whole(0, 1) * whole(0, 3);
    p.a_row = s.transposed ? 1 : (s.length + 1) * p.a_step + whole(0, 9);
    const std::ptrdiff_t source_size = s.length * p.a_step + s.rows * p.a_row + whole(0, 5);
    std::vector<std::ptrdiff_t> a_source(s.sources);
    for (int i = 0; i < s.sources; ++i) a_source[i] = (s.sources - 1 - i) * source_size;
    p.a_source = a_source.data();
    p.a_run = s.sources * source_size + whole(0, 7);
    const auto a_at = [&](int r, int run, int i, int step) {
        return r * p.a_row + run * p.a_run + a_source[i] + step * p.a_step;
    };
    std::ptrdiff_t a_size = 1;
    const auto each_step = [&](auto&& use) {
        int n = 0;
        for (int run = 0; run < s.runs; ++run)
            for (int i = 0; i < s.sources; ++i)
                for (int step = 0; step < (run == s.runs - 1 ? s.last_length : s.length); ++step) use(run, i, step, n++);
    };
    each_step([&](int run, int i, int step, int) {
        a_size = std::max(a_size, a_at(s.rows - 1, run, i, step) + 1);
    });
    Buffer<T> a(a_size);
    each_step([&](int run, int i, int step, int) {
        for (int r = 0; r < s.rows; ++r) a[a_at(r, run, i, step)] = number<T>();
    });
    // The outputs of B lie side by side in every step, or each in a matrix of its own, in another order.
    std::vector<std::ptrdiff_t> b_output(s.outputs), c_output(s.outputs);
    const bool together = whole(0, 1);
    p.b_step = together ? s.outputs * PANEL + whole(0, 1) * 3 : PANEL;
    for (int g = 0; g < s.outputs; ++g)
        b_output[g] = together ? g * PANEL : (s.outputs - 1 - g) * (steps * PANEL + 5);
    std::ptrdiff_t b_size = 1;
    if (steps > 0)
        for (int g = 0; g < s.outputs; ++g) b_size = std::max(b_size, b_output[g] + (steps - 1) * p.b_step + PANEL);
    Buffer<T> b(b_size);
    for (int n = 0; n < steps; ++n)
        for (int g = 0; g < s.outputs; ++g)
            for (int lane = 0; lane < PANEL; ++lane) b[b_output[g] + n * p.b_step + lane] = number<T>();
    for (int g = 0; g < s.outputs; ++g) c_output[g] = (g * 3 % s.outputs == 0 && g > 0 ? s.outputs + g : g) * (PANEL + 1);
    p.c_row = 2 * s.outputs * (PANEL + 1) + 3;
    p.c_output = c_output.data();
    p.b_output = b_output.data();
    Buffer<T> c((s.rows - 1) * p.c_row + (2 * s.outputs - 1) * (PANEL + 1) + PANEL), start(s.outputs * PANEL);
    for (int i = 0; i < s.outputs * PANEL; ++i) start[i] = number<T>();
    for (int g = 0; g < s.outputs; ++g) {
        p.start[g] = static_cast<Start>(whole(0, 2));
        p.start_vector[g] = p.start[g] == Start::vector ? start.data() + g * PANEL : nullptr;
        if (p.start[g] == Start::accumulate)
            for (int r = 0; r < s.rows; ++r)
                for (int lane = 0; lane < PANEL; ++lane) c[r * p.c_row + c_output[g] + lane] = number<T>();
    }
    p.a = a.data();
    p.b = b.data();
    p.c = c.data();
    const std::vector<T> before = c.copy();
    k.product[s.rows][s.outputs](p);
    bool close = true;
    std::vector<T> expected = before;
    for (int r = 0; r < s.rows; ++r)
        for (int g = 0; g < s.outputs; ++g)
            for (int lane = 0; lane < PANEL; ++lane) {
                const std::ptrdiff_t at = r * p.c_row + c_output[g] + lane;
                Wide<T> sum = p.start[g] == Start::zero         ? Wide<T>(0)
                              : p.start[g] == Start::accumulate ? static_cast<Wide<T>>(before[at])
                                                                : static_cast<Wide<T>>(start[g * PANEL + lane]);
                Wide<T> size = std::fabs(sum);
                each_step([&](int run, int i, int step, int n) {
                    const Wide<T> term =
                        static_cast<Wide<T>>(a[a_at(r, run, i, step)]) * b[b_output[g] + n * p.b_step + lane];
                    sum += term;
                    size += std::fabs(term);
                });
                const Wide<T> tolerance = size * std::numeric_limits<T>::epsilon() * (4 + std::sqrt(double(steps)));
                close = close && std::fabs(c[at] - sum) <= tolerance;
                expected[at] = c[at];
            }
    check(close, "wrong sums");
    check(c.equals(expected), "writes outside of C");
}

template <class T>
void test_products(const Kernels<T>& k) {
    context = std::string(k.name) + " product";
    for (int outputs = 1; outputs <= MAX_OUTPUTS; ++outputs) {
        check(k.best_rows[outputs] >= 1 && k.best_rows[outputs] <= MAX_ROWS, "best_rows");
        for (int rows = 1; rows <= k.best_rows[outputs]; ++rows) {
            for (int length : {1, 2, 3, 7, 8, 9, 17, 63}) test_product(k, {rows, outputs, 1, 1, length, length, length % 2 == 0});
            for (int i = 0; i < 6; ++i) {
                const int length = whole(1, 20);
                test_product(k, {rows, outputs, whole(1, 4), whole(1, 4), length, whole(1, length), i % 2 == 1});
            }
        }
    }
    test_product(k, {k.best_rows[2], 2, 1, 1, 500, 500, false});
    test_product(k, {3, 3, 1, 1, 0, 0, false});
}

template <class T>
void test_dots(const Kernels<T>& k) {
    for (int rows = 1; rows <= DOT_ROWS; ++rows) {
        for (int length : {0, 1, 3, 4, 7, 8, 15, 16, 17, 63, 64, 100, 300}) {
            for (Start start : {Start::zero, Start::accumulate, Start::vector}) {
                context = std::string(k.name) + (sizeof(T) == 4 ? " float" : " double") + " dots rows=" +
                          std::to_string(rows) + " length=" + std::to_string(length);
                Dots<T> d{};
                d.a_row = length + whole(0, 9);
                d.b_row = length + whole(0, 9);
                d.c_row = PANEL + whole(0, 9);
                d.length = length;
                d.start = start;
                // Only what is to be read has numbers; each ends where nothing may be read.
                Buffer<T> a((rows - 1) * d.a_row + length), b((PANEL - 1) * d.b_row + length);
                Buffer<T> c((rows - 1) * d.c_row + PANEL), vector(PANEL);
                for (int i = 0; i < length; ++i) {
                    for (int r = 0; r < rows; ++r) a[r * d.a_row + i] = number<T>();
                    for (int lane = 0; lane < PANEL; ++lane) b[lane * d.b_row + i] = number<T>();
                }
                for (int lane = 0; lane < PANEL; ++lane) {
                    vector[lane] = number<T>();
                    for (int r = 0; start == Start::accumulate && r < rows; ++r) c[r * d.c_row + lane] = number<T>();
                }
                d.a = a.data();
                d.b = b.data();
                d.c = c.data();
                d.start_vector = start == Start::vector ? vector.data() : nullptr;
                const std::vector<T> before = c.copy();
                k.dots[rows](d);
                bool close = true;
                std::vector<T> expected = before;
                for (int r = 0; r < rows; ++r) {
                    for (int lane = 0; lane < PANEL; ++lane) {
                        const std::ptrdiff_t at = r * d.c_row + lane;
                        Wide<T> sum = start == Start::zero         ? Wide<T>(0)
                                      : start == Start::accumulate ? static_cast<Wide<T>>(before[at])
                                                                   : static_cast<Wide<T>>(vector[lane]);
                        Wide<T> size = std::fabs(sum);
                        for (int i = 0; i < length; ++i) {
                            const Wide<T> term = static_cast<Wide<T>>(a[r * d.a_row + i]) * b[lane * d.b_row + i];
                            sum += term;
                            size += std::fabs(term);
                        }
                        const Wide<T> tolerance = size * std::numeric_limits<T>::epsilon() * (4 + std::sqrt(double(length)));
                        close = close && std::fabs(c[at] - sum) <= tolerance;
                        expected[at] = c[at];
                    }
                }
                check(close, "wrong sums");
                check(c.equals(expected), "writes outside of C");
            }
        }
    }
}

}  // namespace rondo::testing

int main() {
    using namespace rondo::testing;
    return run_on_all([](const auto& k) {
        test_products(k);
        test_dots(k);
    });
}
