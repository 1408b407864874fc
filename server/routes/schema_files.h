/*
 * The schemas of responses and bodies, embedded when the daemon is built (schemas.py, from schemas/NAME.json).
 */
#ifndef MODPROP_SERVER_SCHEMA_FILES_H
#define MODPROP_SERVER_SCHEMA_FILES_H

/* `text` is the schema as JSON; references are to #/components/schemas/NAME. */
struct schema_file {
    const char *name, *text;
};

extern const struct schema_file schema_files[]; /* ends with an entry whose name is NULL */

#endif
