// Tests of the interpreter of tile programs: every code over every kind of operand and odd tiles.

#include "kernels_testing.h"

namespace rondo::testing {

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
        case Code::mul_complement: return a * (1 - b);
        case Code::share: {
            const W difference = exact(Code::softplus, -b) - exact(Code::softplus, -a);
            return exact(Code::sigmoid, difference);
        }
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
    const bool ties = code == Code::select_lt || code == Code::select_le;
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
                    if (ties) at = std::round(at);
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

// Gates that are open or closed as far as numbers go, alike and not, and a little apart wherever they are.
template <class T>
void test_share(const Kernels<T>& k) {
    context = std::string(k.name) + " share";
    const T far = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    std::vector<T> values = {-far, T(-1e30), T(-1e12), -1000003, -1000000, -5000, -800, -709, -90, -88, -30, -3,
                             0, T(0.5), 7, 40, 88, 300, 5000, 1000000, far, nan};
    for (int i = 0; i < 200; ++i) {
        const T value = -std::exp(number<T>(-2, 18));
        values.insert(values.end(), {value, value + number<T>(-4, 4), value * (1 + number<T>(-1, 1))});
    }
    Buffer<T> memory(3 * PANEL);
    const Bound<T> bounds[] = {{memory.data(), PANEL, 0, 0, 0}, {memory.data() + PANEL, PANEL, 0, 0, 0},
                               {memory.data() + 2 * PANEL, PANEL, 0, 0, 0}};
    const Instruction code{Code::share, 2, 0, 1, 0, 0};
    const Tile<T> tile{&code, 1, bounds, nullptr, 0, 1, 0, 1, 0, PANEL};
    double worst = 0;
    for (T a : values)
        for (std::size_t first = 0; first < values.size(); first += PANEL) {
            for (int lane = 0; lane < PANEL; ++lane)
                memory[lane] = a, memory[PANEL + lane] = values[std::min(first + lane, values.size() - 1)];
            k.tile(tile);
            for (int lane = 0; lane < PANEL; ++lane) {
                const T b = memory[PANEL + lane];
                const bool half = a == -far && b == -far;  // inf less inf by the formula
                const Wide<T> want = half ? Wide<T>(0.5) : evaluate<Wide<T>>(Code::share, a, b, 0, 0);
                worst = std::max(worst, error_in_ulp<T>(memory[2 * PANEL + lane], want));
            }
        }
    check(worst <= 6, "error of " + std::to_string(worst) + " units in the last place");
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

}  // namespace rondo::testing

int main() {
    using namespace rondo::testing;
    return run_on_all([](const auto& k) {
        test_elementwise_codes(k);
        test_reductions(k);
        test_share(k);
        test_program(k);
    });
}
