/* Creation sites: the lines of the user's code that make resources, each kept once.

   A site is one frame, and the site of the frame that called it, or 0. Numbers are small,
   so that a record has room for one; names are made of them only when somebody looks. */

#ifndef ASYNCHOOKS_SITES_H
#define ASYNCHOOKS_SITES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

/* The number of a site that is not known: nobody asked for it, there is no Python code, or
   the 65,535 that there may be are used up. */
#define SITE_UNKNOWN 0

/* The kinds (a mask) that sites are kept for, and of how many frames, at most. */
extern uint32_t sites_kinds;
extern int sites_frames;

/* Whose code is whose: `plumbing` and `libraries` are tuples of prefixes of file names, and
   `installed` and `own` of parts of them: what is in a library's folder, or in a part of
   `installed`, is a library's, but for what is in a part of `own`.
   Returns: 0, or -1 with an exception set. */
int sites_configure(PyObject *plumbing, PyObject *libraries, PyObject *installed,
                    PyObject *own);

/* Returns: the site of what this thread executes now. The nearest frame of the user's own
   code; of a library's, where there is none. May run Python code: no. */
uint16_t site_here(void);

/* Returns: a tuple of (code, line), the innermost frame first, new, empty where the site is
   unknown, or NULL with an exception set. */
PyObject *site_frames(uint16_t site);

/* Returns: the site of what this thread executes now, as site_here(), with those of at most 4
   frames of the user's code that led there. May run Python code: no. */
uint16_t site_with_callers_here(void);

/* Returns: (code, line, callers) of such a site, new, or None, or NULL with an exception set.
   The callers are tuples of (code, line), from the inside out. */
PyObject *site_describe(uint16_t site);

/* Say what the attributes of a site are: to a function of site_describe()'s tuple that returns
   a dict; NULL: they have none. */
void sites_set_describer(PyObject *function);

/* Makes a site's attributes as bytes of OTLP, where they are not made yet. Sets no exception. May run
   Python code: yes. */
void site_learn_attributes(uint16_t site);

/* Returns: them, borrowed, or NULL where there are none, or nobody has learnt them. May run Python code:
   no. */
PyObject *site_known_attributes(uint16_t site);

#endif
