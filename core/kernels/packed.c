/* How the columns of a packed matrix are divided into panels: one rule for packing and for every instruction set. */
#include "core/kernels/kernels.h"

int packed_panels(const struct kernels *kernels, int columns) {
    return (columns / LANES + kernels->panel_vectors - 1) / kernels->panel_vectors;
}

void packed_panel(int vectors, int panels, int panel, int *first, int *count) {
    int each = vectors / panels, larger = vectors % panels;
    *first = panel * each + (panel < larger ? panel : larger);
    *count = each + (panel < larger);
}
