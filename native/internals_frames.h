/* CPython's interpreter frames, the part of `internals` that has to be inline: they are
   walked at every birth, without making a frame object of each.

   Checked by internals_learn_frames() against what the public functions say. */

#ifndef ASYNCHOOKS_INTERNALS_FRAMES_H
#define ASYNCHOOKS_INTERNALS_FRAMES_H

#include "internals.h"

#define Py_BUILD_CORE 1
#if PY_VERSION_HEX >= 0x030e0000
#include <internal/pycore_interpframe.h>
#else
#include <internal/pycore_frame.h>
#endif
#undef Py_BUILD_CORE

typedef struct _PyInterpreterFrame InterpreterFrame;

/* Returns: `frame`, or the nearest one that called it, that runs code of Python. From 3.12
   on there are some that the interpreter puts between for itself. */
static inline InterpreterFrame *
frame_skip_shims(InterpreterFrame *frame)
{
#if PY_VERSION_HEX >= 0x030e0000
    while (frame != NULL &&
           (frame->owner == FRAME_OWNED_BY_INTERPRETER || _PyFrame_IsIncomplete(frame))) {
#elif PY_VERSION_HEX >= 0x030c0000
    while (frame != NULL &&
           (frame->owner == FRAME_OWNED_BY_CSTACK || _PyFrame_IsIncomplete(frame))) {
#else
    while (frame != NULL && _PyFrame_IsIncomplete(frame)) {
#endif
        frame = frame->previous;
    }
    return frame;
}

/* Returns: the innermost frame of this thread that runs Python code, or NULL. */
static inline InterpreterFrame *
frame_current(void)
{
    PyThreadState *thread = PyThreadState_Get();
#if PY_VERSION_HEX >= 0x030d0000
    return frame_skip_shims(thread->current_frame);
#else
    return frame_skip_shims(thread->cframe->current_frame);
#endif
}

/* Returns: the frame that called `frame`, or NULL. */
static inline InterpreterFrame *
frame_previous(InterpreterFrame *frame)
{
    return frame_skip_shims(frame->previous);
}

/* Returns: its code, borrowed. */
static inline PyCodeObject *
frame_code(InterpreterFrame *frame)
{
#if PY_VERSION_HEX >= 0x030d0000
    return _PyFrame_GetCode(frame);
#else
    return frame->f_code;
#endif
}

/* The index of the instruction that it is at, in bytes. */
static inline int
frame_instruction(InterpreterFrame *frame)
{
    return _PyInterpreterFrame_LASTI(frame) * (int)sizeof(_Py_CODEUNIT);
}

/* codeobject.c's _PyCodeObjectExtra: what others keep in a code object. */
typedef struct CodeExtra {
    Py_ssize_t size;
    void *values[1];
} CodeExtra;

extern Py_ssize_t code_extra_index; /* -1: not learnt */

/* Returns: the small number that code_set_extra() has left in `code`, else 0. */
static inline uintptr_t
code_get_extra(PyCodeObject *code)
{
    const CodeExtra *extra = code->co_extra;
    return extra != NULL && code_extra_index < extra->size
               ? (uintptr_t)extra->values[code_extra_index]
               : 0;
}

#endif
