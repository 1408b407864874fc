#include "api/spectrum.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/text.h"

void spectrum_write_json(struct writer *writer, const struct spectrum *spectrum, const char *job, int64_t iteration,
                         const char *sha256) {
    char text[320], radius[32], multiply_adds[32];
    number_put(spectrum->radius, radius);
    number_put(spectrum->multiply_adds, multiply_adds);
    snprintf(text, sizeof text,
             "{\"job\":\"%s\",\"iteration\":%" PRId64
             ",\"sha256\":\"%s\",\"units\":%d,\"spectral_radius\":%s,\"real\":",
             job, iteration, sha256, spectrum->units, radius);
    writer_text(writer, text);
    writer_doubles(writer, spectrum->real, (size_t)spectrum->units);
    writer_text(writer, ",\"imaginary\":");
    writer_doubles(writer, spectrum->imaginary, (size_t)spectrum->units);
    snprintf(text, sizeof text, ",\"multiply_adds\":%s}", multiply_adds);
    writer_text(writer, text);
}

void spectrum_write_csv(struct writer *writer, const struct spectrum *spectrum) {
    writer_text(writer, "real,imaginary\r\n");
    for (int i = 0; i < spectrum->units; i++) {
        char real[32], imaginary[32], line[80];
        number_put(spectrum->real[i], real);
        number_put(spectrum->imaginary[i], imaginary);
        snprintf(line, sizeof line, "%s,%s\r\n", real, imaginary);
        writer_text(writer, line);
    }
}
