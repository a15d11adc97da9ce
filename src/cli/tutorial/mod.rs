//! `goldenkey tutorial`: the todo list of PostgREST's tutorials on a private cluster.

pub mod account;
pub mod cluster;
pub mod database;
pub mod folder;
pub mod programs;
pub mod steps;
use std::path::PathBuf;
#[derive(Debug, PartialEq)]
pub struct Options {
    /// The port to serve on; without it the configuration's, at first 3000.
    pub port: Option<u16>,
    /// The data folder; without it one among the user's data.
    pub data: Option<PathBuf>,
}
pub fn run(o: Options) -> Result<(), super::Failure> { 
    let folder = folder::Folder::open(o.data)?;
    let programs = programs::Programs::find(folder.cluster_major())?;
    let cluster = cluster::Cluster::start(&programs, &folder)?;
    database::load(&mut cluster::connect(&folder).unwrap())?;
    println!("{folder:?} up"); std::thread::sleep(std::time::Duration::from_secs(4));
    cluster.stop();
    Ok(()) }
