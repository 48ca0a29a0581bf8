/** The task (or, if null, the approvals) that one caller's stream reads. */
export interface WatchedStream {
  readonly credential: string
  readonly organizationId: string | null
  readonly taskId: string | null
}

/** The progress of a task; for approvals, only the last event's number. */
export interface StreamState {
  readonly status: string
  readonly lastLogSeq: number
  readonly lastEventSeq: number
}

/**
 * Why the caller of the n-th stream is refused, or the task's state; both null if the caller can see no such
 * task.
 */
export type WatchedStreamState =
  | ({ readonly n: number; readonly refusal: null } & StreamState)
  | {
      readonly n: number
      readonly refusal: string | null
      readonly status: null
      readonly lastLogSeq: null
      readonly lastEventSeq: null
    }
