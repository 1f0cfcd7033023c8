// How fast the kernels are: products as a share of the register peak measured beside them, tile ops in
// nanoseconds for one op on one vector of 16 floats. Usage: bench_kernels [avx512 | avx2 | generic]

#include <chrono>
#include <cstdio>
#include <vector>

#include "dispatch.h"

namespace {

using rondo::Bound;
using rondo::Code;
using rondo::Instruction;
using rondo::Kernels;
using rondo::MAX_OUTPUTS;
using rondo::PANEL;
using rondo::Product;
using rondo::Start;
using rondo::Tile;

// Numbers that begin at a cache line, as the engine's own buffers do.
class Numbers {
  public:
    Numbers(std::size_t count, float value) : memory_(count + PANEL, value) {
        begin_ = memory_.data();
        while (reinterpret_cast<std::uintptr_t>(begin_) % 64) ++begin_;
    }
    float* data() { return begin_; }

  private:
    std::vector<float> memory_;
    float* begin_;
};

// The shortest of several runs of about a millisecond each, in seconds for one call.
template <class F>
double seconds(F&& call) {
    using Clock = std::chrono::steady_clock;
    long calls = 1;
    double best = 1e9;
    for (int run = 0; run < 12;) {
        const auto begin = Clock::now();
        for (long i = 0; i < calls; ++i) call();
        const double took = std::chrono::duration<double>(Clock::now() - begin).count();
        if (took < 1e-3) {
            calls *= 2;
            continue;
        }
        if (took / calls < best) best = took / calls;
        ++run;
    }
    return best;
}

double peak_rate(const Kernels<float>& k) {
    double operations = 0;
    const double time = seconds([&] { operations = k.peak(2000); });
    return operations / time;
}

// Share of the peak with A in the first-level cache and panels of B of so many bytes altogether, in turn.
double share(const Kernels<float>& k, int rows, int outputs, int length, std::size_t bytes) {
    const std::size_t panel = static_cast<std::size_t>(outputs) * PANEL * length;
    const std::size_t panels = bytes / (panel * sizeof(float)) > 0 ? bytes / (panel * sizeof(float)) : 1;
    // Rows a multiple of 4096 bytes apart would share too few places of the first-level cache.
    const std::ptrdiff_t row = length + PANEL;
    Numbers a(rows * row, 0.5f), b(panel * panels, 0.25f), c(static_cast<std::size_t>(rows) * outputs * PANEL, 0.0f);
    const std::ptrdiff_t source = 0;
    std::ptrdiff_t offset[MAX_OUTPUTS];
    for (int g = 0; g < outputs; ++g) offset[g] = g * PANEL;
    Product<float> p{};
    p.a = a.data();
    p.a_row = row;
    p.a_step = 1;
    p.a_source = &source;
    p.runs = p.sources = 1;
    p.length = p.last_length = length;
    p.b_step = outputs * PANEL;
    p.b_output = p.c_output = offset;
    p.c = c.data();
    p.c_row = outputs * PANEL;
    for (Start& start : p.start) start = Start::accumulate;
    std::size_t next = 0;
    const double before = peak_rate(k);
    const double time = seconds([&] {
        p.b = b.data() + next * panel;
        next = next + 1 == panels ? 0 : next + 1;
        k.product[rows][outputs](p);
    });
    const double after = peak_rate(k);
    return 2.0 * rows * outputs * PANEL * length / time / (before > after ? before : after);
}

void bench_products(const Kernels<float>& k) {
    std::printf("peak %.0f GFLOP/s\n%-24s", peak_rate(k) * 1e-9, "share of it, steps:");
    for (int length : {28, 64, 256, 1024}) std::printf("%8d", length);
    std::printf("\n");
    for (std::size_t bytes : {std::size_t(16) << 10, std::size_t(512) << 10})
        for (int outputs = 1; outputs <= MAX_OUTPUTS; ++outputs)
            for (int rows : {k.best_rows[outputs], 4, 1}) {
                std::printf("%2d x %d, B of %3zu KiB    ", rows, outputs, bytes >> 10);
                for (int length : {28, 64, 256, 1024}) std::printf("%7.1f%%", 100 * share(k, rows, outputs, length, bytes));
                std::printf("\n");
            }
}

struct Named {
    const char* name;
    Code code;
    Instruction operands;  // 0 to 3: slots, 4: a temporary, 5: a vector, 6: a constant
};

void bench_tiles(const Kernels<float>& k) {
    const Named ops[] = {{"copy", Code::copy, {}},
                         {"add", Code::add, {}},
                         {"mul by a vector", Code::mul, {Code::mul, 4, 0, 5, 0, 0}},
                         {"1 - a", Code::sub, {Code::sub, 4, 6, 0, 0, 0}},
                         {"div", Code::div, {}},
                         {"maximum", Code::maximum, {}},
                         {"fma", Code::fma, {}},
                         {"fma, vector", Code::fma, {Code::fma, 4, 5, 1, 2, 0}},
                         {"fma, in place", Code::fma, {Code::fma, 4, 0, 1, 4, 0}},
                         {"fnma", Code::fnma, {}},
                         {"sigmoid", Code::sigmoid, {}},
                         {"tanh", Code::tanh, {}},
                         {"relu", Code::relu, {}},
                         {"exp", Code::exp, {}},
                         {"log", Code::log, {}},
                         {"softplus", Code::softplus, {}},
                         {"silu", Code::silu, {}},
                         {"sqrt", Code::sqrt, {}},
                         {"mul_sigmoid", Code::mul_sigmoid, {}},
                         {"mul_tanh", Code::mul_tanh, {}},
                         {"sigmoid_gradient", Code::sigmoid_gradient, {}},
                         {"tanh_gradient", Code::tanh_gradient, {}},
                         {"share", Code::share, {}},
                         {"mul_complement", Code::mul_complement, {}},
                         {"select_lt", Code::select_lt, {}},
                         {"reduce", Code::reduce, {Code::reduce, 7, 0, 0, 0, 0}},
                         {"sum_rows", Code::sum_rows, {Code::sum_rows, 0, 0, 0, 0, 0}}};
    const int shapes[][2] = {{16, 2}, {16, 4}, {4, 2}, {1, 8}};
    std::printf("%-24s", "ns per op and vector");
    for (const auto& shape : shapes) std::printf("%6dx%d", shape[0], shape[1]);
    std::printf("\n");
    for (const Named& op : ops) {
        std::printf("%-24s", op.name);
        for (const auto& shape : shapes) {
            const int rows = shape[0], panels = shape[1], slots = 4;
            const std::ptrdiff_t row = slots * PANEL, panel = rows * row;
            Numbers block(panels * panel, 0.3f), temporary(rows * panels * PANEL, 0.6f), vector(panels * PANEL, 0.7f);
            Numbers ones(PANEL, 1.0f), narrow(rows * PANEL, 0.0f), gradient(panels * PANEL, 0.0f);
            std::vector<Bound<float>> operands;
            for (int slot = 0; slot < slots; ++slot) operands.push_back({block.data() + slot * PANEL, row, panel, row, panel});
            operands.push_back({temporary.data(), PANEL, rows * PANEL, 0, 0});
            operands.push_back({vector.data(), 0, PANEL, 0, PANEL});
            operands.push_back({ones.data(), 0, 0, 0, 0});
            operands.push_back({narrow.data(), PANEL, 0, PANEL, 0});
            Bound<float> gradients[] = {{gradient.data(), 0, PANEL, 0, PANEL}};
            Instruction instruction = op.operands;
            if (instruction.dst == 0 && op.code != Code::sum_rows) instruction = {op.code, 4, 0, 1, 2, 3};
            const std::vector<Instruction> code(8, instruction);
            const Tile<float> tile{code.data(), 8, operands.data(), gradients, 0, rows, 0, panels, panels - 1, PANEL};
            const double time = seconds([&] { k.tile(tile); });
            std::printf("%8.2f", time * 1e9 / (8.0 * rows * panels));
        }
        std::printf("\n");
    }
}

}  // namespace

int main(int count, char** arguments) {
    std::string message;
    const Kernels<float>* k = rondo::choose_kernels<float>(count > 1 ? arguments[1] : nullptr, &message);
    if (!k) {
        std::fprintf(stderr, "%s\n", message.c_str());
        return 1;
    }
    std::printf("%s\n", k->name);
    bench_products(*k);
    bench_tiles(*k);
    return 0;
}
