// Tests of the kernels of every instruction set that the machine has, against plain loops in a wider type.
//
// Every buffer ends at an unreadable page and is filled with NaN where nothing is to be read: a read one
// element too far is a crash or a NaN, a write beside its place a change that is found.

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "dispatch.h"

namespace {

using rondo::Bound;
using rondo::Code;
using rondo::Instruction;
using rondo::Kernels;
using rondo::MAX_OUTPUTS;
using rondo::MAX_ROWS;
using rondo::PANEL;
using rondo::Product;
using rondo::Start;
using rondo::Tile;

int failures = 0;
long checks = 0;
std::string context;  // what is being tested, for the message

void check(bool good, const std::string& what) {
    ++checks;
    if (good) return;
    if (++failures <= 40) std::printf("FAILED %s: %s\n", context.c_str(), what.c_str());
}

template <class T>
struct Wider;
template <>
struct Wider<float> {
    using Type = double;
};
template <>
struct Wider<double> {
    using Type = long double;
};
template <class T>
using Wide = typename Wider<T>::Type;

std::mt19937_64 generator(20250731);

int whole(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator); }

template <class T>
T number(double low = -2, double high = 2) {
    return static_cast<T>(std::uniform_real_distribution<double>(low, high)(generator));
}

// Memory of so many elements that ends at a page that must not be touched; NaN at first.
template <class T>
class Buffer {
  public:
    explicit Buffer(std::size_t count) : count_(count) {
        const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        const std::size_t pages = (count * sizeof(T) + page - 1) / page;
        bytes_ = (pages + 1) * page;
        map_ = static_cast<char*>(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (map_ == MAP_FAILED || mprotect(map_ + pages * page, page, PROT_NONE) != 0) {
            std::perror("test buffer");
            std::exit(2);
        }
        data_ = reinterpret_cast<T*>(map_ + pages * page) - count;
        for (std::size_t i = 0; i < count; ++i) data_[i] = std::numeric_limits<T>::quiet_NaN();
    }
    ~Buffer() { munmap(map_, bytes_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    T* data() { return data_; }
    T& operator[](std::size_t i) { return data_[i]; }
    std::vector<T> copy() const { return std::vector<T>(data_, data_ + count_); }
    // Elements that differ in their bits from an earlier copy.
    bool equals(const std::vector<T>& earlier) const {
        return std::memcmp(data_, earlier.data(), count_ * sizeof(T)) == 0;
    }

  private:
    std::size_t count_, bytes_;
    char* map_;
    T* data_;
};

// ---- functions ----

template <class W>
W exact(Code code, W x) {
    const W e = std::exp(-std::fabs(x));
    switch (code) {
        case Code::sigmoid: return x < 0 ? e / (1 + e) : 1 / (1 + e);
        case Code::tanh: return std::tanh(x);
        case Code::exp: return std::exp(x);
        case Code::log: return std::log(x);
        case Code::softplus: return (x > 0 ? x : (x == x ? W(0) : x)) + std::log1p(e);
        case Code::silu: return x < 0 ? x * e / (1 + e) : x / (1 + e);
        case Code::sqrt: return std::sqrt(x);
        case Code::relu: return x < 0 ? W(0) : x;
        case Code::neg: return -x;
        default: return x;
    }
}

// Error in units in the last place of a normal result; infinite for a wrong infinity, NaN or result near zero.
template <class T>
double error_in_ulp(T got, Wide<T> want) {
    const Wide<T> largest = std::numeric_limits<T>::max(), least = std::numeric_limits<T>::min();
    const double wrong = std::numeric_limits<double>::infinity();
    if (want != want) return got != got ? 0 : wrong;
    if (got != got) return wrong;
    if (std::fabs(want) < least) return std::fabs(static_cast<Wide<T>>(got)) <= least * 1.000001L ? 0 : wrong;
    if (std::fabs(want) > largest) {
        const T infinite = want > 0 ? std::numeric_limits<T>::infinity() : -std::numeric_limits<T>::infinity();
        return got == infinite ? 0 : wrong;
    }
    if (std::isinf(got)) return wrong;
    const int digits = std::numeric_limits<T>::digits;
    const Wide<T> ulp = std::ldexp(Wide<T>(1), std::ilogb(want) - digits + 1);
    return static_cast<double>(std::fabs(static_cast<Wide<T>>(got) - want) / ulp);
}

const char* name_of(Code code) {
    static const char* names[] = {"copy", "add",     "sub",     "mul",  "div",         "neg",      "maximum",
                                  "minimum", "sigmoid", "tanh",    "relu", "exp",         "log",      "softplus",
                                  "silu", "sqrt",    "fma",     "fms",  "fnma",        "mul_sigmoid", "mul_tanh",
                                  "sigmoid_gradient", "tanh_gradient", "select_lt", "select_le", "reduce", "sum_rows"};
    return names[static_cast<int>(code)];
}

const Code functions[] = {Code::sigmoid, Code::tanh, Code::exp,  Code::log, Code::softplus,
                          Code::silu,    Code::sqrt, Code::relu, Code::neg, Code::copy};

// Every float of a grid of bit patterns, which takes in all exponents, signs and NaN.
std::vector<float> samples(float) {
    std::vector<float> x;
    for (std::uint64_t bits = 0; bits < (std::uint64_t(1) << 32); bits += 2003) {
        const std::uint32_t b = static_cast<std::uint32_t>(bits);
        float f;
        std::memcpy(&f, &b, sizeof f);
        x.push_back(f);
    }
    for (int i = 0; i < 300000; ++i) x.push_back(number<float>(-110, 110));
    return x;
}

std::vector<double> samples(double) {
    std::vector<double> x;
    for (int i = 0; i < 200000; ++i) {
        const std::uint64_t bits = generator();
        double f;
        std::memcpy(&f, &bits, sizeof f);
        x.push_back(f);
        x.push_back(number<double>(-760, 760));
        x.push_back(number<double>(-3, 3));
        x.push_back(std::ldexp(number<double>(-1, 1), whole(-60, 11)));
    }
    return x;
}

template <class T>
void test_functions(const Kernels<T>& k) {
    const T infinity = std::numeric_limits<T>::infinity(), least = std::numeric_limits<T>::min();
    std::vector<T> x = samples(T(0));
    for (T special : {T(0), T(1), infinity, std::numeric_limits<T>::quiet_NaN(), least, least / 2,
                      std::numeric_limits<T>::denorm_min(), std::numeric_limits<T>::max(), T(1e30)}) {
        x.push_back(special);
        x.push_back(-special);
    }
    // Both sides of where exp, and with it sigmoid and silu, overflow or become subnormal.
    for (Wide<T> limit : {std::log(static_cast<Wide<T>>(std::numeric_limits<T>::max())), std::log(static_cast<Wide<T>>(least))})
        for (Wide<T> sign : {Wide<T>(1), Wide<T>(-1)}) {
            T up = static_cast<T>(sign * limit), down = up;
            for (int i = 0; i < 200; ++i) {
                x.push_back(up = std::nextafter(up, infinity));
                x.push_back(down = std::nextafter(down, -infinity));
            }
        }
    std::vector<T> y(x.size() + 1);
    for (Code code : functions) {
        context = std::string(k.name) + (sizeof(T) == 4 ? " float " : " double ") + name_of(code);
        const T mark = T(-77.25);
        y[x.size()] = mark;
        k.apply(code, x.data(), y.data(), static_cast<std::ptrdiff_t>(x.size()));
        check(y[x.size()] == mark, "writes beyond its end");
        double worst = 0;
        T at = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            Wide<T> want = exact<Wide<T>>(code, x[i]);
            double error = error_in_ulp<T>(y[i], want);
            if (!(error <= worst)) worst = error, at = x[i];
        }
        const bool rounded_once = code == Code::sqrt || code == Code::relu || code == Code::neg || code == Code::copy;
        char text[160];
        std::snprintf(text, sizeof text, "%.3g ulp at %.9g", worst, static_cast<double>(at));
        check(worst <= (rounded_once ? 0.5 : 4.0), text);
        if (!rounded_once) std::printf("  %-28s %s\n", context.c_str(), text);
        T zeros[2] = {T(0), -T(0)}, of_zeros[2];
        k.apply(code, zeros, of_zeros, 2);
        if (code == Code::sqrt || code == Code::copy || code == Code::silu)
            check(!std::signbit(of_zeros[0]) && std::signbit(of_zeros[1]), "loses the sign of zero");
    }
}

// ---- products ----

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

// ---- tiles ----

int arity_of(Code code) {
    switch (code) {
        case Code::copy: case Code::neg: case Code::sigmoid: case Code::tanh: case Code::relu: case Code::exp:
        case Code::log: case Code::softplus: case Code::silu: case Code::sqrt: case Code::reduce: case Code::sum_rows:
            return 1;
        case Code::fma: case Code::fms: case Code::fnma: return 3;
        case Code::select_lt: case Code::select_le: return 4;
        default: return 2;
    }
}

template <class W>
W evaluate(Code code, W a, W b, W c, W d) {
    switch (code) {
        case Code::add: return a + b;
        case Code::sub: return a - b;
        case Code::mul: return a * b;
        case Code::div: return a / b;
        case Code::maximum: return a != a ? a : b != b ? b : a > b ? a : b;
        case Code::minimum: return a != a ? a : b != b ? b : a < b ? a : b;
        case Code::fma: return a * b + c;
        case Code::fms: return a * b - c;
        case Code::fnma: return c - a * b;
        case Code::mul_sigmoid: return a * exact(Code::sigmoid, b);
        case Code::mul_tanh: return a * std::tanh(b);
        case Code::sigmoid_gradient: return a * b * (1 - b);
        case Code::tanh_gradient: return a * (1 - b * b);
        case Code::select_lt: return a < b ? c : d;
        case Code::select_le: return a <= b ? c : d;
        default: return exact(code, a);
    }
}

enum class Kind { slot, temporary, row_buffer, width_one, vector, constant };

// An operand with memory of its own for a batch of rows and panels, of which a tile is a part.
template <class T>
struct Operand {
    Kind kind;
    Bound<T> bound;
    Buffer<T> memory;

    static Bound<T> layout(Kind kind, int batch, int panels, int tile_rows) {
        switch (kind) {
            case Kind::slot: {
                const int slots = 3;
                const std::ptrdiff_t row = slots * PANEL, panel = batch * row;
                return {nullptr, row, panel, row, panel};
            }
            case Kind::temporary: return {nullptr, PANEL, tile_rows * PANEL, 0, 0};
            case Kind::row_buffer: {
                const std::ptrdiff_t row = panels * PANEL + 5;
                return {nullptr, row, PANEL, row, PANEL};
            }
            case Kind::width_one: return {nullptr, PANEL, 0, PANEL, 0};
            case Kind::vector: return {nullptr, 0, PANEL, 0, PANEL};
            case Kind::constant: return {nullptr, 0, 0, 0, 0};
        }
        return {};
    }
    static std::ptrdiff_t size(const Bound<T>& b, int batch, int panels) {
        return (batch - 1) * b.row + (panels - 1) * b.panel + PANEL;
    }
    Operand(Kind kind, int batch, int panels, int tile_rows)
        : kind(kind), bound(layout(kind, batch, panels, tile_rows)), memory(size(bound, batch, panels)) {
        bound.base = memory.data();
    }
};

struct TileShape {
    int row, rows, panel, panels, units;  // units: of the whole layer
};

template <class T>
std::ptrdiff_t place(const Bound<T>& b, const TileShape& s, int r, int j) {
    return s.row * b.tile_row + s.panel * b.tile_panel + r * b.row + j * b.panel;
}

template <class T>
bool close_to(Code code, T got, Wide<T> want, Wide<T> size) {
    if (want != want) return got != got;
    if (std::isinf(want) || std::isinf(got)) return want == static_cast<Wide<T>>(got);
    switch (code) {
        case Code::copy: case Code::add: case Code::sub: case Code::mul: case Code::div: case Code::neg:
        case Code::maximum: case Code::minimum: case Code::relu: case Code::sqrt: case Code::select_lt:
        case Code::select_le:
            return error_in_ulp<T>(got, want) <= 0.501;  // the wider type may round a tie before us
        default: return std::fabs(got - want) <= 6 * std::numeric_limits<T>::epsilon() * (std::fabs(want) + size);
    }
}

// `same`: the source that is also the destination, from 1; 0 for none.
template <class T>
void test_elementwise(const Kernels<T>& k, Code code, const TileShape& s, const Kind (&kinds)[5], int same, bool nans) {
    char text[200];
    std::snprintf(text, sizeof text, "%s %s tile %s rows=%d+%d panels=%d+%d kinds=%d%d%d%d%d same=%d", k.name,
                  sizeof(T) == 4 ? "float" : "double", name_of(code), s.row, s.rows, s.panel, s.panels, int(kinds[0]),
                  int(kinds[1]), int(kinds[2]), int(kinds[3]), int(kinds[4]), same);
    context = text;
    const int batch = s.row + s.rows, panels = s.panel + s.panels, arity = arity_of(code);
    std::vector<Operand<T>*> operands;
    for (int i = 0; i <= arity; ++i) operands.push_back(new Operand<T>(kinds[i], batch, panels, s.rows));
    std::vector<Bound<T>> bounds;
    for (Operand<T>* o : operands) bounds.push_back(o->bound);
    const bool positive = code == Code::log || code == Code::sqrt;
    for (int i = 1; i <= arity; ++i)
        for (int r = 0; r < s.rows; ++r)
            for (int j = 0; j < s.panels; ++j)
                for (int lane = 0; lane < PANEL; ++lane) {
                    T& at = operands[i]->memory[place(bounds[i], s, r, j) + lane];
                    if (kinds[i] == Kind::constant && (r || j || lane)) {
                        at = operands[i]->memory[0];
                        continue;
                    }
                    at = positive ? number<T>(0.1, 9) : number<T>(-4, 4);
                    if (nans && whole(0, 5) == 0) at = std::numeric_limits<T>::quiet_NaN();
                    // Lanes beyond the units hold anything.
                    if ((s.panel + j) * PANEL + lane >= s.units && operands[i]->kind != Kind::constant)
                        at = std::numeric_limits<T>::quiet_NaN();
                }
    const int dst = same ? same : 0;
    Instruction instruction{code, dst, 1, arity > 1 ? 2 : 0, arity > 2 ? 3 : 0, arity > 3 ? 4 : 0};
    std::vector<std::vector<T>> before;
    for (Operand<T>* o : operands) before.push_back(o->memory.copy());
    Tile<T> tile{&instruction, 1, bounds.data(), nullptr, s.row, s.rows, s.panel, s.panels, (s.units - 1) / PANEL,
                 (s.units - 1) % PANEL + 1};
    k.tile(tile);
    bool good = true;
    std::vector<T> expected = before[dst];
    for (int r = 0; r < s.rows; ++r)
        for (int j = 0; j < s.panels; ++j)
            for (int lane = 0; lane < PANEL; ++lane) {
                Wide<T> x[5] = {};
                for (int i = 1; i <= arity; ++i) x[i] = before[i][place(bounds[i], s, r, j) + lane];
                const std::ptrdiff_t at = place(bounds[dst], s, r, j) + lane;
                expected[at] = operands[dst]->memory[at];
                if ((s.panel + j) * PANEL + lane >= s.units) continue;
                const Wide<T> size = arity == 3 ? std::fabs(x[1] * x[2]) + std::fabs(x[3]) : std::fabs(x[1]);
                good = good && close_to<T>(code, expected[at], evaluate(code, x[1], x[2], x[3], x[4]), size);
            }
    check(good, "wrong values");
    for (int i = 0; i <= arity; ++i)
        check(operands[i]->memory.equals(i == dst ? expected : before[i]), "writes outside of its place");
    for (Operand<T>* o : operands) delete o;
}

TileShape any_shape() {
    TileShape s;
    const int rows[] = {1, 1, 2, 3, 5, 16};
    s.rows = rows[whole(0, 5)];
    s.row = whole(0, 3);
    s.panels = whole(1, 3);
    s.panel = whole(0, 2);
    s.units = (s.panel + s.panels + whole(0, 2)) * PANEL - whole(0, PANEL - 1);
    return s;
}

template <class T>
void test_elementwise_codes(const Kernels<T>& k) {
    const Kind wide[] = {Kind::slot, Kind::temporary, Kind::row_buffer};
    for (int c = 0; c < static_cast<int>(Code::reduce); ++c) {
        const Code code = static_cast<Code>(c);
        for (int i = 0; i < 60; ++i) {
            const TileShape s = any_shape();
            Kind kinds[5] = {wide[whole(0, 2)]};
            for (int n = 1; n < 5; ++n) kinds[n] = static_cast<Kind>(whole(0, 5));
            const int same = i % 3 == 0 ? whole(1, arity_of(code)) : 0;
            if (same) kinds[same] = wide[whole(0, 2)];
            test_elementwise(k, code, s, kinds, same, i % 4 == 1);
        }
        // Row code: everything has width one.
        const Kind narrow[5] = {Kind::width_one, Kind::width_one, Kind::width_one, Kind::constant, Kind::width_one};
        test_elementwise(k, code, {2, 7, 0, 1, 16}, narrow, 0, false);
    }
}

template <class T>
void test_reductions(const Kernels<T>& k) {
    for (int i = 0; i < 300; ++i) {
        const bool to_rows = i % 2;
        const TileShape s = any_shape();
        context = std::string(k.name) + (to_rows ? " sum_rows " : " reduce ") + std::to_string(s.rows) + " rows " +
                  std::to_string(s.panels) + " panels " + std::to_string(s.units) + " units";
        const int batch = s.row + s.rows, panels = s.panel + s.panels;
        const Kind kinds[] = {Kind::slot, Kind::temporary, Kind::row_buffer};
        Operand<T> from(kinds[whole(0, 2)], batch, panels, s.rows);
        Operand<T> to(to_rows ? Kind::vector : Kind::width_one, batch, panels, s.rows);
        const auto is_unit = [&](int j, int lane) { return (s.panel + j) * PANEL + lane < s.units; };
        for (int r = 0; r < s.rows; ++r)
            for (int j = 0; j < s.panels; ++j)
                for (int lane = 0; lane < PANEL; ++lane) {
                    if (is_unit(j, lane)) from.memory[place(from.bound, s, r, j) + lane] = number<T>();
                    if (!to_rows || is_unit(j, lane)) to.memory[place(to.bound, s, r, j) + lane] = number<T>();
                }
        const std::vector<T> before = to.memory.copy(), source = from.memory.copy();
        Bound<T> operands[] = {to.bound, from.bound};
        Instruction instruction{to_rows ? Code::sum_rows : Code::reduce, 0, 1, 0, 0, 0};
        Tile<T> tile{&instruction, 1, operands, operands, s.row, s.rows, s.panel, s.panels, (s.units - 1) / PANEL,
                     (s.units - 1) % PANEL + 1};
        if (to_rows) tile.operands = operands, operands[0] = to.bound;
        k.tile(tile);
        std::vector<T> expected = before;
        std::vector<Wide<T>> sums(before.begin(), before.end());
        for (int r = 0; r < s.rows; ++r)
            for (int j = 0; j < s.panels; ++j)
                for (int lane = 0; lane < PANEL; ++lane) {
                    const std::ptrdiff_t at = place(to.bound, s, r, j) + lane;
                    if (is_unit(j, lane)) sums[at] += source[place(from.bound, s, r, j) + lane];
                    expected[at] = to.memory[at];
                }
        bool good = true;
        for (std::size_t at = 0; at < sums.size(); ++at)
            good = good && (sums[at] != sums[at] ||
                            std::fabs(sums[at] - expected[at]) <= 40 * std::numeric_limits<T>::epsilon());
        check(good, "wrong sums");
        check(to.memory.equals(expected), "writes outside of its place");
        check(from.memory.equals(source), "changes its source");
    }
}

// A program of several instructions runs in order and sees what the earlier ones wrote.
template <class T>
void test_program(const Kernels<T>& k) {
    context = std::string(k.name) + " program";
    const TileShape s{1, 5, 1, 2, 45};
    std::vector<Operand<T>*> o;
    for (Kind kind : {Kind::slot, Kind::temporary, Kind::row_buffer, Kind::constant})
        o.push_back(new Operand<T>(kind, s.row + s.rows, s.panel + s.panels, s.rows));
    std::vector<Bound<T>> bounds;
    for (Operand<T>* operand : o) bounds.push_back(operand->bound);
    for (int lane = 0; lane < PANEL; ++lane) o[3]->memory[lane] = T(1);
    for (int r = 0; r < s.rows; ++r)
        for (int j = 0; j < s.panels; ++j)
            for (int lane = 0; lane < PANEL; ++lane) {
                o[0]->memory[place(bounds[0], s, r, j) + lane] = number<T>();
                o[2]->memory[place(bounds[2], s, r, j) + lane] = number<T>();
            }
    const std::vector<T> z = o[0]->memory.copy(), h = o[2]->memory.copy();
    const Instruction code[] = {{Code::sigmoid, 0, 0, 0, 0, 0},   // z = sigmoid(z)
                                {Code::sub, 1, 3, 0, 0, 0},       // t = 1 - z
                                {Code::mul_tanh, 1, 1, 2, 0, 0},  // t = t * tanh(h)
                                {Code::fma, 2, 0, 2, 1, 0}};      // h = z * h + t
    Tile<T> tile{code, 4, bounds.data(), nullptr, s.row, s.rows, s.panel, s.panels, 2, 13};
    k.tile(tile);
    bool good = true;
    for (int r = 0; r < s.rows; ++r)
        for (int j = 0; j < s.panels; ++j)
            for (int lane = 0; lane < PANEL; ++lane) {
                const Wide<T> gate = exact<Wide<T>>(Code::sigmoid, z[place(bounds[0], s, r, j) + lane]);
                const Wide<T> old = h[place(bounds[2], s, r, j) + lane];
                const Wide<T> want = (1 - gate) * std::tanh(old) + gate * old;
                good = good && std::fabs(o[2]->memory[place(bounds[2], s, r, j) + lane] - want) <=
                                   20 * std::numeric_limits<T>::epsilon();
            }
    check(good, "wrong values");
    for (Operand<T>* operand : o) delete operand;
}

// ---- packing ----

template <class T>
void test_packing(const Kernels<T>& k) {
    for (int lanes = 1; lanes <= PANEL; ++lanes)
        for (int along : {1, 2, 5, 15, 16, 17, 33, 48}) {
            const int step = PANEL + whole(0, 2) * PANEL;
            for (bool transposed : {true, false}) {
                context = std::string(k.name) + (transposed ? " pack_rows " : " pack_columns ") +
                          std::to_string(lanes) + " lanes of " + std::to_string(along);
                // pack_rows reads `lanes` rows of `along` columns, pack_columns `along` rows of `lanes` columns.
                const int rows = transposed ? lanes : along, columns = transposed ? along : lanes;
                const int row = columns + whole(0, 4);
                Buffer<T> src((rows - 1) * row + columns), dst((along - 1) * step + PANEL);
                for (int r = 0; r < rows; ++r)
                    for (int c = 0; c < columns; ++c) src[r * row + c] = number<T>();
                std::vector<T> expected = dst.copy();
                for (int n = 0; n < along; ++n)
                    for (int lane = 0; lane < PANEL; ++lane)
                        expected[n * step + lane] =
                            lane >= lanes ? T(0) : transposed ? src[lane * row + n] : src[n * row + lane];
                if (transposed)
                    k.pack_rows(src.data(), row, rows, columns, dst.data(), step);
                else
                    k.pack_columns(src.data(), row, rows, columns, dst.data(), step);
                check(dst.equals(expected), "wrong elements");
            }
        }
}

template <class T>
void test_all(const Kernels<T>* k, const char* name) {
    if (!k) {
        std::printf("%s: skipped, this machine cannot run it\n", name);
        return;
    }
    std::printf("%s, %s\n", name, sizeof(T) == 4 ? "float" : "double");
    context = name;
    check(std::string(k->name) == name, "has another name");
    std::string message;
    check(rondo::choose_kernels<T>(name, &message) == k && message.empty(), "cannot be chosen by name");
    check(k->peak(1000) >= 1000, "peak counts no operations");
    test_functions(*k);
    test_products(*k);
    test_elementwise_codes(*k);
    test_reductions(*k);
    test_program(*k);
    test_packing(*k);
}

template <class T>
void test_choice() {
    context = "choose_kernels";
    std::string message;
    check(rondo::choose_kernels<T>("avx1024", &message) == nullptr, "takes an unknown name");
    check(message.find("avx1024") != std::string::npos && message.find("generic") != std::string::npos,
          "does not say what was given and what is known");
    const Kernels<T>* best = rondo::kernels_avx512<T>() ? rondo::kernels_avx512<T>()
                             : rondo::kernels_avx2<T>() ? rondo::kernels_avx2<T>()
                                                        : rondo::kernels_generic<T>();
    check(rondo::choose_kernels<T>(nullptr) == best && rondo::choose_kernels<T>("") == best, "is not the best");
    if (!rondo::kernels_avx512<T>())
        check(rondo::choose_kernels<T>("avx512", &message) == nullptr && !message.empty(), "takes what is not there");
}

}  // namespace

int main() {
    test_choice<float>();
    test_choice<double>();
    test_all(rondo::kernels_avx512<float>(), "avx512");
    test_all(rondo::kernels_avx512<double>(), "avx512");
    test_all(rondo::kernels_avx2<float>(), "avx2");
    test_all(rondo::kernels_avx2<double>(), "avx2");
    test_all(rondo::kernels_generic<float>(), "generic");
    test_all(rondo::kernels_generic<double>(), "generic");
    std::printf("%ld checks, %d failed\n", checks, failures);
    return failures ? 1 : 0;
}
