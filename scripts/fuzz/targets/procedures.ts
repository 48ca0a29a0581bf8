import type { z } from 'zod'
import { appRouter } from '#server/rpc/router.ts'
import { FORGED, type FuzzedServer, JSON_TYPE, MAX_HEAD_BYTES } from '../house.ts'
import { type Place, placesOf } from '../places.ts'
import { fitted, SHAPES, type Shape } from '../shapes.ts'
import { defineTarget, type FuzzTarget } from '../target.ts'

interface Definition {
  readonly _def: { readonly type: 'query' | 'mutation' | 'subscription'; readonly inputs: z.core.$ZodType[] }
}

const definitions = Object.entries(appRouter._def.procedures as unknown as Record<string, Definition>)

/** Every procedure, with a hostile value at every place of its input: schemas run before authentication. */
export function procedureTargets(server: FuzzedServer): FuzzTarget[] {
  return definitions.flatMap(([path, { _def }]) => {
    const [schema] = _def.inputs
    if (schema === undefined) return []
    const attacks = placesOf(schema).flatMap(place =>
      SHAPES.map(([name, shape]) => ({ name: `${name} in ${place.name}`, place, shape })),
    )
    return attacks.map(({ name, place, shape }) =>
      _def.type === 'mutation'
        ? mutation(server, { path, name, place, shape })
        : query(server, { path, name, place, shape }),
    )
  })
}

interface Attack {
  readonly path: string
  readonly name: string
  readonly place: Place
  readonly shape: Shape
}

function mutation(server: FuzzedServer, { path, name, place, shape }: Attack): FuzzTarget {
  return defineTarget({
    group: path,
    name,
    generate: sizeBytes => Buffer.from(fitted(size => wrapped(place, shape, size), sizeBytes)),
    run: body =>
      server.send({ method: 'POST', path: `/trpc/${path}`, headers: { ...FORGED, ...JSON_TYPE }, body }),
  })
}

function query(server: FuzzedServer, { path, name, place, shape }: Attack): FuzzTarget {
  return defineTarget({
    group: path,
    name,
    maxBytes: MAX_HEAD_BYTES,
    generate: sizeBytes => fitted(size => addressOf(path, wrapped(place, shape, size)), sizeBytes),
    run: target => server.send({ method: 'GET', path: target, headers: FORGED }),
  })
}

function wrapped({ before, after, sample }: Place, shape: Shape, sizeBytes: number): string {
  const opening = `{"json":${before}`
  const ending = `${after}}`
  return opening + shape(Math.max(8, sizeBytes - opening.length - ending.length), sample) + ending
}

function addressOf(path: string, input: string): string {
  return `/trpc/${path}?input=${encodeURIComponent(input)}`
}
