// The messages between the server and the inspecting process.

import type { MediaType } from '../file-types.ts'

/** The limits of one inspection. */
export interface InspectionLimits {
  /** CPU time. A file that needs more fails. */
  readonly cpuMs: number
  /** Memory of the whole process. A file that needs more fails. */
  readonly memoryBytes: number
  /** Memory of the JavaScript heap. */
  readonly heapBytes: number
  /** Elapsed time. Exceeding it is not the file's fault: the CPU is busy, or the store is slow. */
  readonly wallMs: number
}

export const DEFAULT_LIMITS: InspectionLimits = {
  cpuMs: 10_000,
  memoryBytes: 1_280 * 1024 ** 2,
  heapBytes: 384 * 1024 ** 2,
  wallMs: 30_000,
}

/** The maximum size of one read. */
export const MAX_READ_BYTES = 1024 ** 2

export interface InspectedFile {
  readonly sizeBytes: number
  readonly mimeType: string
  readonly mediaType: MediaType
}

/** The properties of the file; or `problem`, which tells the owner why the item failed. */
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
  /** The content matches the declared type. */
  | { readonly kind: 'recognised' }
  | { readonly kind: 'found'; readonly found: Inspection }

/** The signals with which the process ends itself when it exceeds a limit. */
export const PAST_CPU = 'SIGXCPU'
export const PAST_MEMORY = 'SIGUSR2'
