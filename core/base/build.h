/*
 * Which build this is; core/build.py makes it.
 */
#ifndef MODPROP_CORE_BUILD_H
#define MODPROP_CORE_BUILD_H

/*
 * The version, "+", and 16 hexadecimal digits: a hash of core's sources, the compiler and its flags. Two builds with
 * the same one compute the same bits in the same way.
 */
extern const char build_identity[];

#endif
