// What one call of the library is told: all devices that learn, their data and schedules. Mirrored in library.py.
#pragma once
#include <stdint.h>

struct Job {
    // The network: widths[0] inputs, ..., widths[layers] outputs; layer l maps h to scales[2l] W h + scales[2l + 1] b.
    int64_t layers;
    const int64_t* widths;
    const double* scales;
    int64_t bias, activation, loss;  // yes or no; places in ACTIVATIONS and LOSSES of library.py

    // One step: v <- momentum v + g + weight_decay x, x <- x - lr v (or Nesterov's form).
    double lr, momentum, weight_decay;
    int64_t nesterov;

    // All samples: inputs (N, widths[0]); classes (N) or values (N, outputs), the other is null. Where most inputs are
    // `base`: active has a bit for each that is not, (N, ceil(widths[0] / 64)) words, the lowest bit first, and apart
    // holds these, less base, those of sample i from begins[i] on. Else the three are null. places: which input of its
    // sample each of these is, for outputs; null where it is learned.
    double base;
    const float* inputs;
    const uint64_t* active;
    const float* apart;
    const int64_t* begins;
    const int32_t* places;
    const int64_t* classes;
    const float* values;

    // Device i goes from row rows[i] of x and velocity to the same row of new_x and new_velocity, each (K, parameters),
    // rows in torch's order; drift is of that shape, too. velocity and drift may be null: zeros.
    // Its batch number t, first[i] <= t < first[i + 1], are the samples order[cuts[t]], ..., order[cuts[t + 1] - 1].
    int64_t devices, parameters;
    const int64_t *rows, *first, *cuts, *order;
    const float *x, *velocity, *drift;
    float *new_x, *new_velocity;

    // Null, or (devices, samples, outputs): then nothing is learned, and the outputs for the samples of the first
    // device's batches, which all devices share, are written there.
    float* out;
};

// One exchange between all devices, see mix.cpp: now, then and out (devices, columns), out apart from the others;
// then is what arrives, of now or of an earlier step. Row k hears the links first[k], ..., first[k + 1] - 1.
// Message columns come in packets of so many (`packet`); own (devices, packets) and weight (links, packets).
// piece: how many columns are taken at a time.
struct Exchange {
    int64_t devices, columns, packets, packet, piece;
    const int64_t *first, *sender;
    const float *own, *weight, *now, *then;
    float* out;
};

// Orders of samples, see orders.cpp. Device i is number rows[i], has the shard from begins[rows[i]] on, and meets, in
// batches of `batch`, the samples order[first[i]], ..., order[first[i + 1] - 1]. words: of the streams, all that are
// `known` but names[i] and the round.
struct Orders {
    int64_t devices, batch, round, known;
    const uint32_t* words;
    const int64_t *rows, *names, *shards, *begins, *first;
    int64_t* order;
};

// What select.cpp keeps: of x (rows, columns), in parts of so many columns (sizes), so many values of each (counts).
struct Selection {
    int64_t rows, columns, parts;
    const int64_t *sizes, *counts;
    const float* x;
    float* out;
};
