import { headers } from 'next/headers'
import { Suspense } from 'react'
import { createCaller } from 'rowhouse/next'

interface Props {
  params: Promise<{ id: string }>
}

export default function Page({ params }: Props) {
  return (
    <Suspense fallback={<p>Loading…</p>}>
      <Task params={params} />
    </Suspense>
  )
}

/** A task that does not exist, or is another user's, shows Next's page for what is not found. */
async function Task({ params }: Props) {
  const { id } = await params
  const task = await createCaller(await headers()).tasks.get({ id })
  return <h1>{task.title}</h1>
}
