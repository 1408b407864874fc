/*
 * The identity of this build, made by core/build.py.
 */
#ifndef MODPROP_CORE_BUILD_H
#define MODPROP_CORE_BUILD_H

/*
 * The version, "+", and 16 hexadecimal digits: a hash of core's sources, the compiler and its flags. Two builds with
 * the same identity compute the same bits.
 */
extern const char build_identity[];

#endif
