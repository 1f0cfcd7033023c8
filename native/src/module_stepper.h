// The stepper as Python calls it. Part of module.cpp.

#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <optional>

#include "stepper.h"

namespace rondo {

namespace nb = nanobind;

// Steps that read more weights than this let other Python threads run; of shorter ones the handing over would be
// a good part.
constexpr std::size_t LONG_STEP = 4 << 20;

template <class T>
void step(Stepper<T>& stepper, std::uintptr_t address, bool rows) {
    std::optional<nb::gil_scoped_release> release;
    if (stepper.bytes() > LONG_STEP) release.emplace();
    if (rows) stepper.step_rows(reinterpret_cast<const std::int64_t*>(address));
    else stepper.step(reinterpret_cast<const T*>(address));
}

// What `torch.Tensor.__dlpack_c_exchange_api__` holds (DLPack 1.2 and later): a tensor is looked at by one call in C.
struct TensorAccess {
    struct Version {
        std::uint32_t major, minor;
    } version;
    void* previous;
    void *allocate, *export_owned, *import_owned;
    int (*look)(void* object, nb::dlpack::dltensor* out);
    void* stream;

    // nullptr where `type` has none of this kind.
    static const TensorAccess* of(nb::handle type) {
        if (!nb::hasattr(type, "__dlpack_c_exchange_api__")) return nullptr;
        const nb::object capsule = type.attr("__dlpack_c_exchange_api__");
        const void* const held = PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api");
        const auto* found = static_cast<const TensorAccess*>(held);
        if (!found) throw nb::python_error();
        return found->version.major == 1 ? found : nullptr;
    }
};

// A step for a tensor, as fast as Python allows. What is not plainly right (another type, shape, layout or place, or a
// parameter that was changed since) is left to the caller, who gets None and sees to it.
template <class T>
class TensorStep {
public:
    TensorStep(nb::object stepper, bool rows, nb::object type, std::vector<std::int64_t> shape, nb::object output,
               std::vector<nb::object> parameters)
        : keeps_(stepper), type_(type), output_(output), version_("_version"), shape_(std::move(shape)),
          stepper_(nb::cast<Stepper<T>*>(stepper)), access_(TensorAccess::of(type)), rows_(rows) {
        for (nb::object& one : parameters) {
            const long long version = version_of(one);
            watched_.emplace_back(std::move(one), version);
        }
    }

    nb::object operator()(nb::handle x) const {
        if (!access_ || x.type().ptr() != type_.ptr()) return nb::none();
        for (const auto& [parameter, version] : watched_) {
            if (version_of(parameter) != version) return nb::none();
        }
        nb::dlpack::dltensor seen;
        if (access_->look(x.ptr(), &seen) != 0) {
            PyErr_Clear();
            return nb::none();
        }
        if (!plain(seen)) return nb::none();
        step(*stepper_, reinterpret_cast<std::uintptr_t>(seen.data) + seen.byte_offset, rows_);
        return output_;
    }

private:
    long long version_of(nb::handle parameter) const {
        PyObject* const attribute = PyObject_GetAttr(parameter.ptr(), version_.ptr());
        if (!attribute) throw nb::python_error();
        const long long version = PyLong_AsLongLong(nb::steal(attribute).ptr());
        if (version == -1 && PyErr_Occurred()) throw nb::python_error();
        return version;
    }

    bool plain(const nb::dlpack::dltensor& seen) const {
        const nb::dlpack::dtype wanted = rows_ ? nb::dtype<std::int64_t>() : nb::dtype<T>();
        if (seen.device.device_type != nb::device::cpu::value || seen.dtype != wanted) return false;
        if (seen.ndim != static_cast<int>(shape_.size())) return false;
        std::int64_t distance = 1;
        for (int i = seen.ndim - 1; i >= 0; --i) {
            if (seen.shape[i] != shape_[i]) return false;
            if (seen.strides && seen.shape[i] != 1 && seen.strides[i] != distance) return false;
            distance *= shape_[i];
        }
        return true;
    }

    const nb::object keeps_, type_, output_;
    const nb::str version_;
    const std::vector<std::int64_t> shape_;
    std::vector<std::pair<nb::object, long long>> watched_;
    Stepper<T>* const stepper_;
    const TensorAccess* const access_;
    const bool rows_;
};

template <class T>
void bind_stepper(nb::module_& module, const std::string& suffix) {
    using S = Stepper<T>;
    nb::class_<S>(module, ("Stepper" + suffix).c_str(), "A stack of layers that advances step by step.")
        .def(nb::init<int, int>(), nb::arg("batch"), nb::arg("threads"))
        .def("add",
             [](S& self, const Engine<T>& engine, const std::vector<std::uintptr_t>& parameters) {
                 std::vector<const T*> pointers;
                 for (std::uintptr_t one : parameters) pointers.push_back(reinterpret_cast<const T*>(one));
                 self.add(engine, pointers);
             },
             nb::keep_alive<1, 2>())
        // `owner` is what the address is of: it is kept.
        .def("add_table",
             [](S& self, std::uintptr_t table, std::int64_t rows, nb::handle) {
                 self.add_table(reinterpret_cast<const T*>(table), rows);
             },
             nb::arg("table"), nb::arg("rows"), nb::arg("owner"), nb::keep_alive<1, 4>())
        .def("finish",
             [](S& self, std::uintptr_t output, nb::handle) { self.finish(reinterpret_cast<T*>(output)); },
             nb::arg("output"), nb::arg("owner"), nb::keep_alive<1, 3>())
        .def("step", [](S& self, std::uintptr_t x) { step(self, x, false); })
        .def("step_rows", [](S& self, std::uintptr_t numbers) { step(self, numbers, true); })
        .def("read", [](const S& self, int layer, int part, std::uintptr_t to) {
            self.read(layer, part, reinterpret_cast<T*>(to));
        })
        .def("write", [](S& self, int layer, int part, std::uintptr_t from) {
            self.write(layer, part, reinterpret_cast<const T*>(from));
        });
    nb::class_<TensorStep<T>>(module, ("TensorStep" + suffix).c_str(), "A step for a tensor; None where it takes care.")
        .def(nb::init<nb::object, bool, nb::object, std::vector<std::int64_t>, nb::object, std::vector<nb::object>>(),
             nb::arg("stepper"), nb::arg("rows"), nb::arg("type"), nb::arg("shape"), nb::arg("output"),
             nb::arg("parameters"))
        .def("__call__", &TensorStep<T>::operator());
}

}  // namespace rondo
