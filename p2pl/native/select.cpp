// Of each part of each row the values of largest magnitude, zeros for the others: what top-k compression sends.
//
// Magnitudes are ordered as the bits of a float without its sign are. A sample tells a bound that somewhat more values
// than are wanted will pass; among these few the smallest that is kept is found. Where too few pass, all are looked at.
// Of equal ones the first are kept.
#include <string.h>

#include <algorithm>
#include <vector>

#include "job.hpp"

namespace {

constexpr int64_t SAMPLE = 512;   // values of a sample
constexpr double MARGIN = 1.5, SPARE = 6;  // how many more of a sample are let pass than its share

inline int32_t magnitude(float value) {
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x7fffffff;
}

// The number-th largest of n magnitudes, bit by bit: the largest bound that so many reach. It looks at all of them 31
// times, and never guesses, which is what a partial sort does most of its time.
int32_t largest(const int32_t* some, int64_t n, int64_t number) {
    int32_t found = 0;
    for (int32_t bit = 1 << 30; bit; bit >>= 1) {
        int32_t reach = 0;
        for (int64_t i = 0; i < n; ++i) reach += some[i] >= (found | bit);
        if (reach >= number) found |= bit;
    }
    return found;
}

// A magnitude that more than `count` of n values are likely to exceed; -1, which all do, where that would be most.
int32_t likely_bound(const float* x, int64_t n, int64_t count) {
    const int64_t rank = int64_t(MARGIN * count * SAMPLE / n + SPARE);
    if (n < 4 * SAMPLE || rank >= SAMPLE) return -1;
    int32_t some[SAMPLE];
    for (int64_t i = 0; i < SAMPLE; ++i) some[i] = magnitude(x[i * n / SAMPLE]);
    return largest(some, SAMPLE, rank + 1);
}

// Memory for a part's candidates: their places, and their magnitudes.
struct Candidates {
    std::vector<int32_t> places, magnitudes;

    explicit Candidates(int64_t most) : places(most + 1), magnitudes(most) {}
};

// Writes down the places of magnitudes above a bound, in order; how many. By runs, of which many have none; in others
// each place is written, and the next one over it unless it is to stay: which it is, nobody foresees.
int64_t collect(const float* x, int64_t n, int32_t bound, int32_t* places) {
    constexpr int64_t BLOCK = 64, RUN = 8;
    int64_t found = 0;
    for (int64_t block = 0; block < n; block += BLOCK) {
        uint8_t above[BLOCK] = {};
        if (block + BLOCK <= n)  // a number that the compiler knows
            for (int64_t j = 0; j < BLOCK; ++j) above[j] = magnitude(x[block + j]) > bound;
        else
            for (int64_t j = 0; j < n - block; ++j) above[j] = magnitude(x[block + j]) > bound;
        for (int64_t run = 0; run < BLOCK; run += RUN) {
            uint64_t any;
            memcpy(&any, above + run, sizeof any);
            if (any)
                for (int64_t j = run; j < run + RUN; ++j) places[found] = block + j, found += above[j];
        }
    }
    return found;
}

void select_part(const float* x, float* out, int64_t n, int64_t count, Candidates& some) {
    if (count >= n) {
        memcpy(out, x, n * sizeof *x);
        return;
    }
    int32_t *const places = some.places.data(), *const magnitudes = some.magnitudes.data();
    int64_t found = collect(x, n, likely_bound(x, n, count), places);
    if (found < count) found = collect(x, n, -1, places);
    for (int64_t i = 0; i < found; ++i) magnitudes[i] = magnitude(x[places[i]]);
    const int32_t least = largest(magnitudes, found, count);
    memset(out, 0, n * sizeof *out);
    for (int64_t i = 0; i < found; ++i) {
        const int32_t above = magnitudes[i] > least;
        int32_t bits;
        memcpy(&bits, x + places[i], sizeof bits);
        bits &= -above;
        memcpy(out + places[i], &bits, sizeof bits);
        count -= above;
    }
    for (int64_t i = 0; count; ++i)
        if (magnitudes[i] == least) {
            out[places[i]] = x[places[i]];
            --count;
        }
}

}  // namespace

void select(const Selection& selection) {
    Candidates some(*std::max_element(selection.sizes, selection.sizes + selection.parts));
    for (int64_t row = 0; row < selection.rows; ++row) {
        const float* x = selection.x + row * selection.columns;
        float* out = selection.out + row * selection.columns;
        for (int64_t part = 0; part < selection.parts; ++part) {
            select_part(x, out, selection.sizes[part], selection.counts[part], some);
            x += selection.sizes[part];
            out += selection.sizes[part];
        }
    }
}
