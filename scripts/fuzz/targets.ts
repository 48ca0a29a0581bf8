import type { FuzzedServer } from './house.ts'
import type { FuzzTarget } from './target.ts'
import { authTargets } from './targets/auth.ts'
import { mediaTargets } from './targets/media.ts'
import { procedureTargets } from './targets/procedures.ts'
import { bodyTargets, headTargets, webhookTargets } from './targets/requests.ts'
import { superjsonTargets } from './targets/superjson.ts'

/** Everything that reads a stranger's bytes. Add a function that returns the targets of anything new here. */
export function fuzzTargets(server: FuzzedServer): FuzzTarget[] {
  return [
    ...superjsonTargets(server),
    ...procedureTargets(server),
    ...headTargets(server),
    ...bodyTargets(server),
    ...authTargets(server),
    ...webhookTargets(server),
    ...mediaTargets(),
  ]
}
