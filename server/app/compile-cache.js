// Loaded before main.ts, so that from its second start on the server finds every module compiled and its types stripped: it starts
// sooner, and what strips types is not in its memory. Where node_modules takes no files, it does without.
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

enableCompileCache(join(import.meta.dirname, '../../node_modules/.cache/rowhouse'))
