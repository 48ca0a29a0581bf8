// What the server and the process that inspects a file say to each other.

import type { MediaType } from '../file-types.ts'

/** How much an inspection may take before it is ended. */
export interface InspectionLimits {
  /** Of the processor. A file that takes more is refused. */
  readonly cpuMs: number
  /** Of memory, by the whole process. A file that takes more is refused. */
  readonly memoryBytes: number
  /** Of memory for JavaScript's objects. */
  readonly heapBytes: number
  /** By the clock. What takes longer is our trouble: the processor is busy, or the store is slow. */
  readonly wallMs: number
}

export const DEFAULT_LIMITS: InspectionLimits = {
  cpuMs: 10_000,
  memoryBytes: 1_280 * 1024 ** 2,
  heapBytes: 384 * 1024 ** 2,
  wallMs: 30_000,
}

/** Bytes that are read at a time. */
export const MAX_READ_BYTES = 1024 ** 2

export interface InspectedFile {
  readonly sizeBytes: number
  readonly mimeType: string
  readonly mediaType: MediaType
}

/** What a file is found to be; or why its item fails, in words for its owner. */
export type Inspection =
  | { readonly problem: string }
  | {
      readonly width: number | null
      readonly height: number | null
      readonly durationSeconds: number | null
      readonly thumbnail: Uint8Array | null
    }

export type ToInspector =
  | { readonly kind: 'begin'; readonly file: InspectedFile }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }

export type FromInspector =
  | { readonly kind: 'read'; readonly start: number; readonly end: number }
  /** The file is of its type. */
  | { readonly kind: 'recognised' }
  | { readonly kind: 'found'; readonly found: Inspection }

/** The signals by which an inspector ends itself past a limit. */
export const PAST_CPU = 'SIGXCPU'
export const PAST_MEMORY = 'SIGUSR2'
