// The Python module rondo._engine. Tensors come as addresses: whoever calls has seen to their type, their
// memory and their life. rondo/backends/cpu/native.py is that caller.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "dispatch.h"
#include "executor.h"
#include "module_stepper.h"

namespace nb = nanobind;

namespace rondo {
namespace {

using Address = std::uintptr_t;
using Addresses = std::vector<Address>;
using Array = std::tuple<Address, std::ptrdiff_t, std::ptrdiff_t>;  // address, strides by sequence and step

using BlockTuple = std::tuple<int, int, bool>;
using GroupTuple = std::tuple<std::vector<int>, std::vector<int>, std::vector<int>, std::vector<std::vector<BlockTuple>>>;
using CodeList = std::vector<std::array<int, 6>>;
using StageTuple = std::tuple<int, std::vector<GroupTuple>, CodeList, std::vector<std::pair<int, bool>>, CodeList>;
using References = std::vector<std::vector<std::pair<int, int>>>;

Group group_of(const GroupTuple& given) {
    Group group{std::get<0>(given), std::get<1>(given), std::get<2>(given), {}};
    for (const auto& row : std::get<3>(given)) {
        group.matrices.emplace_back();
        for (const auto& [parameter, block, transposed] : row) group.matrices.back().push_back({parameter, block, transposed});
    }
    return group;
}

std::vector<Instruction> code_of(const CodeList& given) {
    std::vector<Instruction> code;
    for (const auto& one : given) code.push_back({static_cast<Code>(one[0]), one[1], one[2], one[3], one[4], one[5]});
    return code;
}

std::vector<std::vector<Reference>> references_of(const References& given) {
    std::vector<std::vector<Reference>> lists;
    for (const auto& list : given) {
        lists.emplace_back();
        for (const auto& [parameter, block] : list) lists.back().push_back({parameter, block});
    }
    return lists;
}

Plan make_plan(const std::vector<std::array<int, 4>>& operands, const std::vector<StageTuple>& stages,
               std::array<int, WIDTHS> kept, std::array<int, WIDTHS> work, int temporaries,
               const std::vector<std::array<int, 4>>& rows, const References& vectors,
               const std::vector<std::pair<double, int>>& constants, const std::vector<GroupTuple>& hoisted,
               const std::vector<GroupTuple>& after,
               const std::vector<std::pair<int, std::vector<std::array<int, 3>>>>& outers, const References& gradients,
               const std::vector<std::array<int, 4>>& parameters, const std::vector<int>& state_widths) {
    Plan plan;
    for (const auto& one : operands) plan.operands.push_back({static_cast<Place>(one[0]), one[1], one[2], one[3]});
    for (const auto& [width, groups, code, reductions, row_code] : stages) {
        Stage stage{width, {}, code_of(code), reductions, code_of(row_code)};
        for (const GroupTuple& group : groups) stage.groups.push_back(group_of(group));
        plan.stages.push_back(std::move(stage));
    }
    plan.kept = kept;
    plan.work = work;
    plan.temporaries = temporaries;
    for (const auto& one : rows) plan.rows.push_back({static_cast<Role>(one[0]), one[1], one[2], one[3] != 0});
    plan.vectors = references_of(vectors);
    for (const auto& [value, over] : constants) plan.constants.push_back({value, over});
    for (const GroupTuple& group : hoisted) plan.hoisted.push_back(group_of(group));
    for (const GroupTuple& group : after) plan.after.push_back(group_of(group));
    for (const auto& [right, lefts] : outers) {
        Outer outer{right, {}};
        for (const auto& one : lefts) outer.lefts.push_back({one[0], one[1], one[2]});
        plan.outers.push_back(std::move(outer));
    }
    plan.gradients = references_of(gradients);
    for (const auto& one : parameters) plan.parameters.push_back({one[0], one[1], one[2], one[3]});
    plan.state_widths = state_widths;
    plan.check();
    return plan;
}

template <class T>
std::vector<T*> pointers(const Addresses& addresses) {
    std::vector<T*> all;
    for (Address one : addresses) all.push_back(reinterpret_cast<T*>(one));
    return all;
}

template <class T>
Given<T> given_of(const Array& array) {
    return {reinterpret_cast<T*>(std::get<0>(array)), std::get<1>(array), std::get<2>(array)};
}

template <class T>
std::vector<Given<T>> arrays(const std::vector<Array>& given) {
    std::vector<Given<T>> all;
    for (const Array& one : given) all.push_back(given_of<T>(one));
    return all;
}

struct Layout {
    int B, T;
    bool reverse;
    std::shared_ptr<const Lanes> lanes;

    // For each step and row of a run the number b * T + t of the step of a sequence that stands there, B * T if none.
    void places(std::int64_t* to) const {
        const int steps = lanes ? lanes->steps : T, rows = lanes ? lanes->rows : B;
        for (int step = 0; step < steps; ++step) {
            for (int row = 0; row < rows; ++row) {
                Lanes::Place at{row, reverse ? T - 1 - step : step};
                if (lanes) at = lanes->place[static_cast<std::size_t>(step) * rows + row];
                *to++ = at.sequence < 0 ? std::int64_t{B} * T : std::int64_t{at.sequence} * T + at.step;
            }
        }
    }
};

template <class T>
Call<T> call_of(const Layout& layout, const Array& x, const std::vector<Array>& masks, const Addresses& given,
                const Addresses& fresh) {
    Call<T> call;
    call.B = layout.B;
    call.T_ = layout.T;
    call.reverse = layout.reverse && !layout.lanes;
    call.lanes = layout.lanes;
    call.x = {given_of<const T>(x)};
    for (const Array& mask : masks) call.masks.push_back(given_of<const T>(mask));
    call.given = pointers<const T>(given);
    call.fresh = pointers<const T>(fresh);
    return call;
}

template <class T>
Packed packed_for(const Engine<T>& engine, const Call<T>& call, const Addresses& parameters) {
    return engine.pack(pointers<const T>(parameters), std::ptrdiff_t{call.rows()} * call.steps());
}

// A DLPack capsule of so many elements, not initialised, in memory that is used again when its tensor is gone.
template <class T>
nb::object empty(std::ptrdiff_t elements) {
    auto owner = std::make_unique<Memory>(checked_bytes(sizeof(T), {elements}));
    T* const data = owner->template as<T>();
    const nb::capsule capsule(owner.release(), [](void* p) noexcept { delete static_cast<Memory*>(p); });
    const std::size_t shape[] = {static_cast<std::size_t>(elements)};
    return nb::cast(nb::ndarray<T>(data, 1, shape, capsule));
}

template <class T>
void bind_engine(nb::module_& module, const std::string& suffix) {
    nb::class_<Engine<T>>(module, ("Engine" + suffix).c_str(), "A plan with its sizes. Does not change.")
        .def("__init__",
             [](Engine<T>* self, const Plan& plan, const Sizes& sizes, int threads, const std::string& isa,
                bool bfloat16) {
                 std::string message;
                 const Kernels<T>* kernels = choose_kernels<T>(isa.c_str(), &message);
                 if (!kernels) throw std::invalid_argument(message);
                 new (self) Engine<T>(plan, sizes, *kernels, threads, bfloat16);
             },
             nb::arg("plan"), nb::arg("sizes"), nb::arg("threads"), nb::arg("isa") = "",
             nb::arg("bfloat16") = false)
        // For several runs over so many rows of batch and time in all; the parameters must outlive what is returned.
        .def("pack",
             [](const Engine<T>& self, const Addresses& parameters, std::ptrdiff_t rows) {
                 const nb::gil_scoped_release release;
                 return self.pack(pointers<const T>(parameters), rows);
             })
        .def("forward",
             [](const Engine<T>& self, const Addresses& parameters, const Layout& layout, const Array& x,
                const std::vector<Array>& masks, const Addresses& given, const Addresses& fresh,
                const std::vector<bool>& all_steps, const Addresses& final, const Array& y, Address outputs,
                Address rest, const Packed* packed) {
                 const nb::gil_scoped_release release;
                 const Call<T> call = call_of<T>(layout, x, masks, given, fresh);
                 Residuals<T> residuals =
                     self.place(call, all_steps, reinterpret_cast<T*>(outputs), reinterpret_cast<T*>(rest));
                 const Packed own = packed ? Packed{} : packed_for(self, call, parameters);
                 self.run_forward(call, pointers<T>(final), given_of<T>(y), packed ? *packed : own, residuals);
             },
             nb::arg("parameters"), nb::arg("layout"), nb::arg("x"), nb::arg("masks"), nb::arg("given"),
             nb::arg("fresh"), nb::arg("all_steps"), nb::arg("final"), nb::arg("y"), nb::arg("outputs"),
             nb::arg("rest"), nb::arg("packed").none() = nb::none())
        .def("backward",
             [](const Engine<T>& self, const Addresses& parameters, const Layout& layout, const Array& x,
                const std::vector<Array>& masks, const std::vector<bool>& all_steps, Address outputs, Address rest,
                const Array& dy, const Addresses& dfinal, const Array& dx, const Addresses& dgiven, const Addresses& dfresh,
                const Addresses& dparameters, const Packed* packed, Address sums, bool first, bool last) {
                 const nb::gil_scoped_release release;
                 Gradients<T> gradients{given_of<const T>(dy), pointers<const T>(dfinal), {given_of<T>(dx)},
                                        pointers<T>(dgiven),   pointers<T>(dfresh),       pointers<T>(dparameters),
                                        reinterpret_cast<T*>(sums), first, last};
                 const Call<T> call = call_of<T>(layout, x, masks, {}, {});
                 const Residuals<T> residuals =
                     self.place(call, all_steps, reinterpret_cast<T*>(outputs), reinterpret_cast<T*>(rest));
                 const Packed own = packed ? Packed{} : packed_for(self, call, parameters);
                 self.run_backward(call, packed ? *packed : own, residuals, gradients);
             },
             nb::arg("parameters"), nb::arg("layout"), nb::arg("x"), nb::arg("masks"), nb::arg("all_steps"),
             nb::arg("outputs"), nb::arg("rest"), nb::arg("dy"), nb::arg("dfinal"), nb::arg("dx"), nb::arg("dgiven"),
             nb::arg("dfresh"), nb::arg("dparameters"), nb::arg("packed").none() = nb::none(), nb::arg("sums") = 0,
             nb::arg("first") = true, nb::arg("last") = true)
        .def_prop_ro("sums_size", &Engine<T>::sums_size)
        // Plans of several inputs, without lanes; their gradients where `dx` has an array for each.
        .def("scan",
             [](const Engine<T>& self, const Addresses& parameters, const Layout& layout, const std::vector<Array>& inputs,
                const Addresses& given, const std::vector<bool>& all_steps, const Addresses& final, Address outputs,
                Address rest) {
                 const nb::gil_scoped_release release;
                 Call<T> call = call_of<T>(layout, {}, {}, given, {});
                 call.x = arrays<const T>(inputs);
                 call.by_sequence = true;
                 Residuals<T> residuals =
                     self.place(call, all_steps, reinterpret_cast<T*>(outputs), reinterpret_cast<T*>(rest));
                 self.run_forward(call, pointers<T>(final), {}, packed_for(self, call, parameters), residuals);
             })
        .def("scan_backward",
             [](const Engine<T>& self, const Addresses& parameters, const Layout& layout, const std::vector<Array>& inputs,
                const std::vector<bool>& all_steps, Address outputs, Address rest, const Array& dy,
                const Addresses& dfinal, const std::vector<Array>& dx, const Addresses& dgiven,
                const Addresses& dparameters) {
                 const nb::gil_scoped_release release;
                 Gradients<T> gradients{given_of<const T>(dy), pointers<const T>(dfinal), arrays<T>(dx),
                                        pointers<T>(dgiven), {}, pointers<T>(dparameters)};
                 gradients.dfresh.resize(gradients.dgiven.size());
                 Call<T> call = call_of<T>(layout, {}, {}, {}, {});
                 call.x = arrays<const T>(inputs);
                 call.by_sequence = true;
                 const Residuals<T> residuals =
                     self.place(call, all_steps, reinterpret_cast<T*>(outputs), reinterpret_cast<T*>(rest));
                 self.run_backward(call, packed_for(self, call, parameters), residuals, gradients);
             });

    module.def(("empty" + suffix).c_str(), &empty<T>);

    module.def(("apply" + suffix).c_str(), [](int code, Address a, Address dst, std::ptrdiff_t n, const std::string& isa) {
        std::string message;
        const Kernels<T>* kernels = choose_kernels<T>(isa.c_str(), &message);
        if (!kernels) throw std::invalid_argument(message);
        kernels->apply(static_cast<Code>(code), reinterpret_cast<const T*>(a), reinterpret_cast<T*>(dst), n);
    });
    // Floating-point operations a second of multiply-adds in registers alone, on so many threads.
    module.def(("peak" + suffix).c_str(), [](int threads, double seconds, const std::string& isa) {
        std::string message;
        const Kernels<T>* kernels = choose_kernels<T>(isa.c_str(), &message);
        if (!kernels) throw std::invalid_argument(message);
        const nb::gil_scoped_release release;
        std::atomic<double> total{0};
        parallel_at_once(threads, [&](Crew& crew) {
            crew.each([&](int) {
                using clock = std::chrono::steady_clock;
                const auto start = clock::now();
                double done = 0, elapsed = 0;
                while (elapsed < seconds) {
                    done += kernels->peak(100000);
                    elapsed = std::chrono::duration<double>(clock::now() - start).count();
                }
                total.fetch_add(done / elapsed);
            });
        });
        return total.load();
    });
}

NB_MODULE(_engine, module) {
    nb::set_leak_warnings(false);  // engines are kept for the life of the process, in caches of Python's
    nb::class_<Plan>(module, "Plan").def("__init__", [](Plan* self, nb::args) { new (self) Plan(); });
    module.def("make_plan", &make_plan);
    nb::class_<Lanes>(module, "Lanes").def_ro("rows", &Lanes::rows).def_ro("steps", &Lanes::steps);
    module.def("make_lanes", [](int B, int T, Address lengths, Address cuts, bool reverse) {
        const nb::gil_scoped_release release;
        return std::const_pointer_cast<Lanes>(make_lanes(B, T, reinterpret_cast<const std::int64_t*>(lengths),
                                                         reinterpret_cast<const std::uint8_t*>(cuts), reverse));
    });
    nb::class_<Layout>(module, "Layout")
        .def_prop_ro("lanes", [](const Layout& layout) { return layout.lanes != nullptr; })
        .def("places", [](const Layout& layout, Address to) { layout.places(reinterpret_cast<std::int64_t*>(to)); })
        .def("__init__",
             [](Layout* self, int B, int T, bool reverse, std::shared_ptr<Lanes> lanes) {
                 new (self) Layout{B, T, reverse, lanes};
             },
             nb::arg("batch"), nb::arg("steps"), nb::arg("reverse") = false, nb::arg("lanes").none() = nb::none());
    nb::class_<Packed>(module, "Packed");
    module.def("empty_bytes", &empty<std::uint8_t>);
    // Whether rows of so many bytes, so far apart in the first array and without gaps in the second, are the same.
    module.def("same_rows", [](Address first, Address second, std::ptrdiff_t rows, std::ptrdiff_t bytes,
                               std::ptrdiff_t apart) {
        const auto* one = reinterpret_cast<const std::byte*>(first);
        const auto* other = reinterpret_cast<const std::byte*>(second);
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
            if (std::memcmp(one + i * apart, other + i * bytes, static_cast<std::size_t>(bytes)) != 0) return false;
        }
        return true;
    });
    bind_engine<float>(module, "Float32");
    bind_engine<double>(module, "Float64");
    bind_stepper<float>(module, "Float32");
    bind_stepper<double>(module, "Float64");

    module.def("instruction_set", [](const std::string& isa) -> std::string {
        const Kernels<float>* kernels = choose_kernels<float>(isa.c_str());
        return kernels ? kernels->name : "";
    }, nb::arg("isa") = "");
    // What RONDO_ISA says now; Python's own way to the environment costs as much as a small step of a layer.
    module.def("forced", []() -> std::string {
        const char* const isa = std::getenv("RONDO_ISA");
        return isa ? isa : "";
    });
    module.def("has_bfloat16", [] { return bfloat16_kernels() != nullptr; });
    module.def("use_openmp", &use_openmp);
    module.def("threading", &threading);
    module.def("memory", [] {
        const PoolState state = pool_state();
        return std::make_tuple(state.in_use, state.cached, state.peak);
    });
    module.def("release_memory", &release_cached);
}

}  // namespace
}  // namespace rondo
