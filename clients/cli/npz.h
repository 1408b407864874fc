/*
 * numpy's files of arrays (numpy.savez, .npz) as the safetensors file that a dataset is.
 *
 * An npz file is a zip archive with one member "NAME.npy" an array: a header, which is a literal of Python, then the
 * values. Both formats are read and written here as their authors describe them: numpy.lib.format, and the README of
 * safetensors. The archive is read by libzip.
 */
#ifndef MODPROP_CLI_NPZ_H
#define MODPROP_CLI_NPZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "clients/cli/status.h"

/* Whether the file begins as a zip archive does; it then stands at its beginning again. */
bool npz_is(FILE *file);

/*
 * The same arrays as a safetensors file without a name, which stands at its beginning; the caller closes it. float16,
 * uint16 and uint32 become wider types, other byte orders and Fortran's order become the usual ones. Complains:
 * STATUS_USAGE for an archive that holds something else than a dataset's arrays, STATUS_FAILED where it cannot be read
 * or written.
 */
enum status npz_convert(const char *path, FILE **converted, int64_t *size);

#endif
