// Where a run meets the arrays of its caller: inputs, outputs, and the states of sequences that begin and end.

#include <algorithm>
#include <cstdlib>

#include "run.h"

namespace rondo {

template <class T>
template <class Element>
Element* Engine<T>::Run::Member::outside(const Given<Element>& array, int t, int r) const {
    if (!run.call.lanes) return array.data + r * array.batch + (run.call.reverse ? run.steps - 1 - t : t) * array.time;
    const Lanes::Place at = run.call.lanes->place[static_cast<std::size_t>(t) * run.R + r];
    return at.sequence < 0 ? nullptr : array.data + at.sequence * array.batch + at.step * array.time;
}

// x is read where the caller has it, where no instruction reads whole panels of it, and its rows lie as a kernel takes
// them: close to each other. Rows of sequences of a power of two would share cache sets. What is packed first may lie
// anywhere.
template <class T>
bool Engine<T>::Run::stays_outside(std::size_t number, Rows& place) const {
    const RowBuffer& buffer = plan.rows[number];
    if (call.lanes || engine.halves_ || static_cast<std::int64_t>(R) * steps <= FEW_ROWS) return false;
    // A scan reads whole panels, but asks for them a step ahead.
    const bool streamed = buffer.role == Role::dy && engine.is_scan_ && engine.units(buffer.width) == engine.padded(buffer.width);
    if (!streamed && (buffer.role != Role::x || engine.read_by_code_[number])) return false;
    const Given<const T>& from = streamed ? asked->dy : call.x[buffer.part];
    const std::ptrdiff_t time = call.reverse ? -from.time : from.time, row = R == 1 ? time : from.batch;
    const bool one_distance = time == R * row, close = row <= 2 * engine.padded(buffer.width) && R >= ROWS_EACH * members;
    if (engine.read_by_products_[number] && !one_distance && !close) return false;
    place.base = const_cast<T*>(from.data) + (call.reverse ? (steps - 1) * from.time : 0);
    place.time = time;
    place.row = row;
    return place.in_place = true;
}

// Rows given from outside are brought into the chunk: x, masks, gradients of the outputs.
template <class T>
void Engine<T>::Run::Member::gather(Role role, int begin, int end) {
    const Share share(end - begin, by_rows ? 0 : id, by_rows ? 1 : run.members);
    for (std::size_t i = 0; i < run.plan.rows.size(); ++i) {
        const RowBuffer& buffer = run.plan.rows[i];
        if (buffer.role != role || run.rows[i].in_place) continue;
        const Given<const T> from = role == Role::x      ? run.call.x[buffer.part]
                                    : role == Role::mask ? run.call.masks[buffer.part]
                                                         : run.asked->dy;
        const Rows& place = run.rows[i];
        const int n = run.engine.units(buffer.width);
        each_as_it_lies(begin, share, from, [&](int step, int r) {
            copy_rows<T>(place.base + step * place.time + r * place.row, 0, outside(from, begin + step, r), 0, 1, n);
        });
    }
}

// The outputs, or the gradient of x, go where they belong.
template <class T>
void Engine<T>::Run::Member::scatter(Role role, int begin, int end) {
    // One step is for the first member, who is also the one that begins the next sequence.
    if (!by_rows && end - begin == 1 && id != 0) return;
    const bool alone = by_rows || end - begin == 1;
    const Share share(end - begin, alone ? 0 : id, alone ? 1 : run.members);
    for (std::size_t i = 0; i < run.plan.rows.size(); ++i) {
        const RowBuffer& buffer = run.plan.rows[i];
        if (buffer.role != role || (role == Role::state && buffer.part != 0) || run.rows[i].in_place) continue;
        const Given<T> to = role == Role::dx ? run.asked->dx[buffer.part] : run.y;
        const Rows& place = run.rows[i];
        const int n = run.engine.units(buffer.width);
        each_as_it_lies(begin, share, to, [&](int step, int r) {
            const int t = begin + step;
            const int entry = role == Role::dx ? step : place.ring ? (t + 1) % 2 : t + 1;
            const T* from = place.base + entry * place.time + r * place.row;
            if (T* const target = outside(to, t, r)) std::memcpy(target, from, sizeof(T) * n);
        });
    }
}

// The outputs behind the ends of sequences.
template <class T>
void Engine<T>::Run::clear_behind() const {
    if (!call.lanes || !y.data) return;
    const int n = engine.units(plan.state_widths[0]);
    for (int b = 0; b < call.B; ++b) {
        for (int t = call.lanes->lengths[b]; t < call.T_; ++t) std::fill_n(y.data + b * y.batch + t * y.time, n, T(0));
    }
}

// Sequences that begin before, or end after, step t.
template <class T>
void Engine<T>::Run::Member::exchange(int t, bool begins) {
    for (const Lanes::Event& event : (begins ? run.call.lanes->begins : run.call.lanes->ends)[t]) {
        if ((!by_rows && id != 0) || event.row < first_row || event.row >= last_row) continue;
        for (std::size_t i = 0; i < run.plan.rows.size(); ++i) {
            const RowBuffer& buffer = run.plan.rows[i];
            if (buffer.role != (run.backward ? Role::carry : Role::state)) continue;
            const Rows& place = run.rows[i];
            if (run.backward) {
                exchange_gradient(event, buffer, place.base + event.row * place.row, begins);
            } else {
                const int entry = begins ? t : t + 1;
                T* const at = place.base + place.time * (place.ring ? entry % 2 : entry);
                exchange_state(event, buffer, at + event.row * place.row, begins);
            }
        }
    }
}

// A sequence's first state comes into the row, its last one goes out.
template <class T>
void Engine<T>::Run::Member::exchange_state(const Lanes::Event& event, const RowBuffer& buffer, T* row, bool begins) {
    const int n = run.engine.units(buffer.width);
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(event.sequence) * n;
    if (begins) {
        const T* from = (event.fresh ? run.call.fresh : run.call.given)[buffer.part];
        copy_rows<T>(row, 0, from ? from + at : nullptr, 0, 1, n);
    } else {
        copy_rows<T>(run.final[buffer.part] + at, 0, row, 0, 1, n);
    }
}

// Against time: the gradient of a sequence's last state comes in, that of its first one goes out and leaves nothing.
template <class T>
void Engine<T>::Run::Member::exchange_gradient(const Lanes::Event& event, const RowBuffer& buffer, T* row,
                                               bool begins) {
    const int n = run.engine.units(buffer.width);
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(event.sequence) * n;
    if (!begins) {
        const T* from = run.asked->dfinal[buffer.part];
        for (int u = 0; u < n && from; ++u) row[u] += from[at + u];
        return;
    }
    T* to = (event.fresh ? run.asked->dfresh : run.asked->dgiven)[buffer.part];
    if (to && event.fresh && id > 0) {
        to = run.fresh_sums[buffer.part].template as<T>() + static_cast<std::ptrdiff_t>(id - 1) * run.call.B * n;
    }
    for (int u = 0; to && u < n; ++u) to[at + u] += row[u];
    std::fill_n(row, run.engine.padded(buffer.width), T(0));
}

template class Engine<float>;
template class Engine<double>;

}  // namespace rondo
