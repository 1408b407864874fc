/*
 * The publications that methods cite. See references.h.
 */
#include "clients/cli/references.h"

#include <assert.h>
#include <string.h>

static const struct {
    const char *key, *entry;
} entries[] = {
    {"liu2022", "@inproceedings{liu2022,\n"
                "  author = {Liu, Yuhan Helena and Smith, Stephen and Mihalas, Stefan and Shea-Brown, Eric and "
                "S{\\\"u}mb{\\\"u}l, Uygar},\n"
                "  title = {Biologically-plausible backpropagation through arbitrary timespans via local "
                "neuromodulators},\n"
                "  booktitle = {Advances in Neural Information Processing Systems},\n"
                "  volume = {35},\n  year = {2022},\n  eprint = {2206.01338},\n  archiveprefix = {arXiv}\n}\n"},
    {"liu2021", "@article{liu2021,\n"
                "  author = {Liu, Yuhan Helena and Smith, Stephen and Mihalas, Stefan and Shea-Brown, Eric and "
                "S{\\\"u}mb{\\\"u}l, Uygar},\n"
                "  title = {Cell-type-specific neuromodulation guides synaptic credit assignment in a spiking neural "
                "network},\n"
                "  journal = {Proceedings of the National Academy of Sciences},\n"
                "  volume = {118},\n  number = {51},\n  pages = {e2111821118},\n  year = {2021}\n}\n"},
    {"bellec2020", "@article{bellec2020,\n"
                   "  author = {Bellec, Guillaume and Scherr, Franz and Subramoney, Anand and Hajek, Elias and Salaj, "
                   "Darjan and Legenstein, Robert and Maass, Wolfgang},\n"
                   "  title = {A solution to the learning dilemma for recurrent networks of spiking neurons},\n"
                   "  journal = {Nature Communications},\n  volume = {11},\n  pages = {3625},\n  year = {2020}\n}\n"},
    {"bellec2018", "@inproceedings{bellec2018,\n"
                   "  author = {Bellec, Guillaume and Kappel, David and Maass, Wolfgang and Legenstein, Robert},\n"
                   "  title = {Deep rewiring: training very sparse deep networks},\n"
                   "  booktitle = {International Conference on Learning Representations},\n  year = {2018},\n"
                   "  eprint = {1711.05136},\n  archiveprefix = {arXiv}\n}\n"},
    {"murray2019", "@article{murray2019,\n  author = {Murray, James M.},\n"
                   "  title = {Local online learning in recurrent networks with random feedback},\n"
                   "  journal = {eLife},\n  volume = {8},\n  pages = {e43299},\n  year = {2019}\n}\n"},
    {"kingma2015", "@inproceedings{kingma2015,\n  author = {Kingma, Diederik P. and Ba, Jimmy},\n"
                   "  title = {{Adam}: a method for stochastic optimization},\n"
                   "  booktitle = {International Conference on Learning Representations},\n  year = {2015},\n"
                   "  eprint = {1412.6980},\n  archiveprefix = {arXiv}\n}\n"},
    {"werbos1990", "@article{werbos1990,\n  author = {Werbos, Paul J.},\n"
                   "  title = {Backpropagation through time: what it does and how to do it},\n"
                   "  journal = {Proceedings of the IEEE},\n  volume = {78},\n  number = {10},\n"
                   "  pages = {1550--1560},\n  year = {1990}\n}\n"},
    {"williams1989", "@article{williams1989,\n  author = {Williams, Ronald J. and Zipser, David},\n"
                     "  title = {A learning algorithm for continually running fully recurrent neural networks},\n"
                     "  journal = {Neural Computation},\n  volume = {1},\n  number = {2},\n  pages = {270--280},\n"
                     "  year = {1989}\n}\n"},
    {"williams1990", "@article{williams1990,\n  author = {Williams, Ronald J. and Peng, Jing},\n"
                     "  title = {An efficient gradient-based algorithm for on-line training of recurrent network "
                     "trajectories},\n"
                     "  journal = {Neural Computation},\n  volume = {2},\n  number = {4},\n  pages = {490--501},\n"
                     "  year = {1990}\n}\n"},
    {"menick2021", "@inproceedings{menick2021,\n"
                   "  author = {Menick, Jacob and Elsen, Erich and Evci, Utku and Osindero, Simon and Simonyan, Karen "
                   "and Graves, Alex},\n"
                   "  title = {Practical real time recurrent learning with a sparse approximation},\n"
                   "  booktitle = {International Conference on Learning Representations},\n  year = {2021}\n}\n"},
    {"tallec2018", "@inproceedings{tallec2018,\n  author = {Tallec, Corentin and Ollivier, Yann},\n"
                   "  title = {Unbiased online recurrent optimization},\n"
                   "  booktitle = {International Conference on Learning Representations},\n  year = {2018},\n"
                   "  eprint = {1702.05043},\n  archiveprefix = {arXiv}\n}\n"},
};

void reference_put(struct text *text, const char *key) {
    size_t i = 0;
    while (i < sizeof entries / sizeof *entries && strcmp(entries[i].key, key) != 0) {
        i++;
    }
    assert(i < sizeof entries / sizeof *entries);
    text_printf(text, "%s%s", text->size > 0 ? "\n" : "", entries[i].entry);
}
