import { createActor, createApiToken, type House } from '../actors.ts'
import { sessionCredential, tokenCredential } from './dataset.ts'
import type { Caller } from './probe.ts'

/** Callers who own nothing and so reach nothing: whatever they do reach is someone else's. */
export async function createStrangers(house: House): Promise<Caller[]> {
  const newcomer = await createActor(house, { name: 'Newcomer' })
  const program = await createApiToken(await createActor(house, { name: 'Program' }), {
    scopes: ['tasks:write', 'settings:write'],
  })
  return [
    { name: 'nobody', credential: null },
    { name: 'a newcomer', credential: sessionCredential(newcomer) },
    { name: 'a program', credential: tokenCredential(program) },
  ]
}
