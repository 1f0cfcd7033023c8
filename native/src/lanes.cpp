// Sequences of different lengths, and those that begin anew inside, laid into rows.

#include <algorithm>
#include <map>
#include <numeric>

#include "executor.h"

namespace rondo {
namespace {

struct Piece {
    int sequence;
    int first, last;  // steps of the sequence, in the order in which they are run
    bool fresh;       // begins from the fresh state, not the given one
    bool final;       // its end is the sequence's end
};

}  // namespace

std::shared_ptr<const Lanes> make_lanes(int B, int T, const std::int64_t* lengths, const std::uint8_t* cuts,
                                        bool reverse) {
    std::vector<Piece> pieces;
    int longest = 0;
    auto lanes = std::make_shared<Lanes>();
    for (int b = 0; b < B; ++b) {
        const int n = lengths ? static_cast<int>(lengths[b]) : T;
        lanes->lengths.push_back(n);
        int begin = 0;
        bool fresh = false;
        // Step s of the run is step s of the sequence, or n - 1 - s; a cut stands between t - 1 and t.
        for (int s = 0; s < n && cuts; ++s) {
            const int t = reverse ? n - s : s;
            if (t >= n || !cuts[static_cast<std::size_t>(b) * T + t]) continue;
            if (s > begin) {
                pieces.push_back({b, begin, s, fresh, false});
                longest = std::max(longest, s - begin);
            }
            begin = s;
            fresh = true;
        }
        if (n > begin) {
            pieces.push_back({b, begin, n, fresh, true});
            longest = std::max(longest, n - begin);
        }
    }

    // The longest first, each into the fullest row that still has room (best fit decreasing).
    std::stable_sort(pieces.begin(), pieces.end(),
                     [](const Piece& p, const Piece& q) { return p.last - p.first > q.last - q.first; });
    std::vector<std::vector<int>> rows;
    std::vector<int> filled;
    std::multimap<int, int> room;  // steps left, row
    for (int i = 0; i < static_cast<int>(pieces.size()); ++i) {
        const int n = pieces[i].last - pieces[i].first;
        int row;
        if (auto found = room.lower_bound(n); found != room.end()) {
            row = found->second;
            room.erase(found);
        } else {
            row = static_cast<int>(rows.size());
            rows.emplace_back();
            filled.push_back(0);
        }
        rows[row].push_back(i);
        filled[row] += n;
        if (filled[row] < longest) room.emplace(longest - filled[row], row);
    }
    std::vector<int> order(rows.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int p, int q) { return filled[p] > filled[q]; });

    lanes->rows = static_cast<int>(rows.size());
    lanes->steps = longest;
    lanes->place.resize(static_cast<std::size_t>(longest) * rows.size());
    lanes->running.assign(longest, 0);
    lanes->begins.resize(longest);
    lanes->ends.resize(longest);
    for (int row = 0; row < lanes->rows; ++row) {
        int step = 0;
        for (int i : rows[order[row]]) {
            const Piece& piece = pieces[i];
            const int n = lanes->lengths[piece.sequence];
            lanes->begins[step].push_back({row, piece.sequence, piece.fresh});
            for (int s = piece.first; s < piece.last; ++s, ++step) {
                const int t = reverse ? n - 1 - s : s;
                lanes->place[static_cast<std::size_t>(step) * lanes->rows + row] = {piece.sequence, t};
                ++lanes->running[step];
            }
            if (piece.final) lanes->ends[step - 1].push_back({row, piece.sequence, false});
        }
    }
    return lanes;
}

}  // namespace rondo
