/*
 * Error diffusion on a sheet: units lie row by row on a torus, `width` to a row, and each step the learning signal
 * spreads to their neighbours and adds to what is still there,
 *     g_t = Kernel * g_{t-1} + L_t,    (Kernel * g)[y,x] = sum_{i,j=-r..r} Kernel[i+r][j+r] g[y-i,x-j],
 * both indices round the torus. It multiplies the eligibility trace in the place of L_t: dW = sum_t g_{p,t} psi_{p,t}
 * eps_{qp,t}. g runs forward in time, so an error reaches the traces of later steps: with loss at the last step alone
 * it is e-prop.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/rules/rules.h"

#define DECAY 0.9

struct diffusion {
    int width;             /* 0: the most nearly square sheet */
    struct numbers kernel; /* (2r+1, 2r+1), or none: 3 x 3, each decay / 9 */
    struct optional_double decay;
};
RULE_OWN_STRUCT(struct diffusion);

/* The most nearly square sheet is not higher than wide. */
static int width_of(const struct diffusion *diffusion, int units) {
    int height = 1;
    for (int i = 1; (double)i * i <= units; i++) {
        height = units % i == 0 ? i : height;
    }
    return diffusion->width > 0 ? diffusion->width : units / height;
}

static int around(int at, int size) {
    int within = at % size;
    return within < 0 ? within + size : within;
}

static void diffusion_signal(const struct signal *signal) {
    const struct diffusion *diffusion = rule_own(signal->rule);
    int width = width_of(diffusion, signal->units), height = signal->units / width;
    int side = diffusion->kernel.values ? diffusion->kernel.lengths[0] : 3, r = side / 2;
    double each = (diffusion->decay.set ? diffusion->decay.value : DECAY) / 9;
    memcpy(signal->scratch, signal->g, (size_t)signal->rows * (size_t)signal->columns * sizeof(float));
    for (int row = 0; row < signal->rows; row++) {
        const float *before = signal->scratch + (size_t)row * (size_t)signal->columns;
        float *g = signal->g + (size_t)row * (size_t)signal->columns;
        for (int p = 0; p < signal->units; p++) {
            double sum = 0;
            for (int i = -r; i <= r; i++) {
                for (int j = -r; j <= r; j++) {
                    double weight = diffusion->kernel.values ? diffusion->kernel.values[(i + r) * side + j + r] : each;
                    sum += weight *
                           (double)before[around(p / width - i, height) * width + around(p % width - j, width)];
                }
            }
            size_t at = (size_t)row * (size_t)signal->columns + (size_t)p;
            g[p] = (float)(sum + (signal->learning ? (double)signal->learning[at] : 0));
        }
    }
}

static enum forward_form diffusion_forward(const struct rule_config *rule, const struct rule_shape *shape) {
    (void)rule;
    (void)shape;
    return FORWARD_SIGNAL;
}

static double diffusion_work(const struct rule_config *rule, const struct rule_shape *shape) {
    const struct diffusion *diffusion = rule_own(rule);
    double side = diffusion->kernel.values ? diffusion->kernel.lengths[0] : 3;
    return side * side * shape->units;
}

static bool diffusion_suits(const struct rule_config *rule, const struct rule_shape *shape, const char **parameter,
                            char error[256]) {
    const struct diffusion *diffusion = rule_own(rule);
    const int *lengths = diffusion->kernel.lengths;
    if (diffusion->width > 0 && shape->units % diffusion->width != 0) {
        *parameter = "width";
        snprintf(error, 256, "must divide the number of units (%d); got %d", shape->units, diffusion->width);
        return false;
    }
    *parameter = "kernel";
    if (diffusion->kernel.values && (lengths[0] != lengths[1] || lengths[0] % 2 == 0)) {
        snprintf(error, 256, "must have as many columns as rows, an odd number; got %d and %d", lengths[0], lengths[1]);
        return false;
    }
    if (diffusion->kernel.values && diffusion->decay.set) {
        snprintf(error, 256, "must be null where decay is given, which says how strong the 3 x 3 kernel is");
        return false;
    }
    return true;
}

static const struct field parameters[] = {
    {.name = "width",
     .type = FIELD_INT_OR_NULL,
     .offset = RULE_OWN(struct diffusion, width),
     .unit = "units",
     .low = 1,
     .high = 16384,
     .fallback = "null",
     .identity = "null",
     .doc =
         "units in a row of the sheet, of which the number of units must be a multiple; null: the most nearly square "
         "sheet"},
    {.name = "kernel",
     .type = FIELD_NUMBERS_OR_NULL,
     .offset = RULE_OWN(struct diffusion, kernel),
     .dimensions = 2,
     .low = -1e6,
     .high = 1e6,
     .fallback = "null",
     .identity = "null",
     .doc =
         "what a step spreads: an odd number of rows of as many numbers, its middle being the unit itself; null: 3 by "
         "3, each decay / 9"},
    {.name = "decay",
     .type = FIELD_NUMBER_OR_NULL,
     .offset = RULE_OWN(struct diffusion, decay),
     .low = 0,
     .high = 1,
     .fallback = "null",
     .identity = "null",
     .doc = "without a kernel: how much of the signal a step keeps in all; null: 0.9"},
};

const struct rule_ops rule_diffusion = {
    .name = "diffusion",
    .doc = "e-prop whose learning signal spreads over a sheet of cells, step by step",
    .parameters = FIELDS(parameters),
    .membrane_alone = true,
    .forward = diffusion_forward,
    .signal = diffusion_signal,
    .suits = diffusion_suits,
    .work = diffusion_work};
