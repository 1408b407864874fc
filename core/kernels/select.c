/* The kernels that this process uses, and the matching packing. Chosen once, before any thread is started. */
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/kernels/select.h"

static const struct kernels *selected;

#ifdef MODPROP_KERNELS_X86
/* __builtin_cpu_supports also asks the operating system (XGETBV): registers that it does not save do not count. */
static bool host_has_avx512(void) {
    return __builtin_cpu_supports("avx512f");
}

static bool host_has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

static bool host_has_anything(void) {
    return true;
}

static const struct {
    const struct kernels *kernels;
    bool (*available)(void);
} kernels_table[] = {
#ifdef MODPROP_KERNELS_X86
    {&kernels_avx512, host_has_avx512},
    {&kernels_avx2, host_has_avx2},
#endif
#ifdef MODPROP_KERNELS_ARM64
    {&kernels_neon, host_has_anything}, /* the architecture's baseline */
#endif
    {&kernels_portable, host_has_anything},
};

enum { KERNELS_BUILT = sizeof kernels_table / sizeof kernels_table[0] };

const struct kernels *kernels_listed(int i) {
    for (int k = 0; k < KERNELS_BUILT; k++) {
        if (kernels_table[k].available() && i-- == 0) {
            return kernels_table[k].kernels;
        }
    }
    return NULL;
}

bool kernels_select(const char *forced) {
    const struct kernels *kernels;
    for (int i = 0; (kernels = kernels_listed(i)); i++) {
        if (!forced || strcmp(forced, kernels->name) == 0) {
            selected = kernels;
            return true;
        }
    }
    return false;
}

const struct kernels *kernels_current(void) {
    return selected ? selected : kernels_listed(0);
}

const char *kernels_name(void) {
    return kernels_current()->name;
}

void packed_fill(const struct kernels *kernels, struct packed *packed, int first_source, int count, const float *matrix,
                 size_t stride, int n, bool transposed) {
    int vectors = packed->columns / LANES, panels = packed_panels(kernels, packed->columns);
    size_t step_source = transposed ? 1 : stride, step_column = transposed ? stride : 1;
    for (int panel = 0; panel < panels; panel++) {
        int first, width;
        packed_panel(vectors, panels, panel, &first, &width);
        int from = first * LANES, columns = width * LANES, filled = n - from < columns ? n - from : columns;
        float *to = packed->data + (size_t)from * (size_t)packed->sources + (size_t)first_source * (size_t)columns;
        for (int k = 0; k < count; k++, to += columns) {
            const float *source = matrix + (size_t)k * step_source + (size_t)from * step_column;
            for (int c = 0; c < filled; c++) {
                to[c] = source[(size_t)c * step_column];
            }
            for (int c = filled > 0 ? filled : 0; c < columns; c++) {
                to[c] = 0.0f;
            }
        }
    }
}

void product_run(const struct kernels *kernels, enum epilogue epilogue, const struct product *product) {
    int panels = packed_panels(kernels, product->matrix->columns);
    for (int panel = 0; panel < panels; panel++) {
        kernels->product(epilogue, product, panel);
    }
}
