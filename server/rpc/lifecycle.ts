/** What an action does to a row's status. */
export interface Transition<Status extends string, To = Status> {
  readonly from: readonly Status[]
  /** What the row becomes; null where its status stays. */
  readonly to: To
}

/** Says whether a row in a status takes an action. */
export function allowing<Action extends string, Status extends string>(
  transitions: Readonly<Record<Action, { readonly from: readonly Status[] }>>,
): (action: Action, status: Status) => boolean {
  return (action, status) => transitions[action].from.includes(status)
}
