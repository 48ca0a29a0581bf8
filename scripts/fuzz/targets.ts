import type { FuzzedServer } from './house.ts'
import type { FuzzTarget } from './target.ts'
import { authTargets } from './targets/auth.ts'
import { mediaTargets } from './targets/media.ts'
import { procedureTargets } from './targets/procedures.ts'
import { bodyTargets, headTargets, webhookTargets } from './targets/requests.ts'
import { superjsonTargets } from './targets/superjson.ts'

/** All code that reads untrusted bytes. Add the targets of new code here. */
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
